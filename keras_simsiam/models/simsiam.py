"""SimSiam itself (Chen and He 2021, arXiv 2011.10566, Algorithm 1)."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from keras_simsiam import augment
from keras_simsiam.config import Augmentation
from keras_simsiam.models import heads


@keras.saving.register_keras_serializable("keras_simsiam")
class SimSiam(keras.Model):
    """Learns image features from pairs of views, without labels.

    ``fit`` takes batches ``(x1, x2)``: two float32 tensors ``[B, H, W, 3]`` with a random view of
    each of B images, as `keras_simsiam.data.views` makes them. With an `augmentation`, it takes
    the batches of ``views(..., augment_on="device")`` instead and makes the views inside the
    training step, on the accelerator.

    Each step logs ``loss`` (in [-1, 1]), ``z_std`` (the standard deviation of each dimension of
    the l2-normalised z1, averaged over dimensions, times √d: near 1 when spread over the sphere,
    0 when collapsed; paper, Section 4.1) and ``learning_rate`` (of backbone and projector).

    Calling the model gives the backbone's features, which are what one keeps::

        model = SimSiam(resnet18(width=16, stem="cifar"))
        model.compile(**paper_optimizers(batch_size=64, steps=1000))
        model.fit(pairs, steps_per_epoch=100, epochs=10)
        features = model.predict(images)

    Args:
        backbone: Any built `keras.Model` from images to vectors ``[B, D]``.
        projector: From features to z; `heads.projector` of the paper's size where None.
        predictor: From z to p; `heads.predictor` for the projector's z where None.
        stop_gradient: Whether no gradient flows through z in the loss. False is the paper's
            collapsing ablation (Section 4.1).
        augmentation: Makes the views inside the step from device batches; None takes views.
        image_size: Side of the views in pixels; needed with `augmentation`, else learnt from the
            first batch. `export_encoder` resizes to it.

    Raises:
        ValueError: If the backbone's output is not one vector an image.
    """

    def __init__(
        self,
        backbone: keras.Model,
        projector: keras.Model | None = None,
        predictor: keras.Model | None = None,
        stop_gradient: bool = True,
        augmentation: Augmentation | None = None,
        image_size: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if len(backbone.output_shape) != 2 or backbone.output_shape[1] is None:
            raise ValueError(
                f"the backbone must end in one vector an image, (None, D); "
                f"its output has shape {backbone.output_shape}"
            )
        if augmentation is not None and image_size is None:
            raise ValueError("image_size is needed to augment inside the training step")
        self.backbone = backbone
        self.projector = projector or heads.projector(backbone.output_shape[1])
        self.predictor = predictor or heads.predictor(self.projector.output_shape[1])
        self.stop_gradient = stop_gradient
        self.augmentation = augmentation
        self.image_size = image_size
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.z_std_tracker = keras.metrics.Mean(name="z_std")
        # All three parts are built already, and `fit` must not try to build by calling the model
        # on a batch of pairs.
        self.built = True

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Backbone features ``[B, D]`` of normalised images ``[B, H, W, 3]``."""
        return self.backbone(images, training=training)

    def compile(
        self,
        optimizer="rmsprop",
        predictor_optimizer=None,
        jit_compile: bool = False,
        **kwargs,
    ) -> None:
        """Sets the optimisers.

        Args:
            optimizer: Any Keras optimiser, for backbone and projector.
            predictor_optimizer: One for the predictor; where None, `optimizer` trains it too.
            jit_compile: Whether XLA compiles the training step. Keras would by default, which is
                slower for convolutions on CPUs.
            **kwargs: Whatever else `keras.Model.compile` takes.
        """
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        self.predictor_optimizer = keras.optimizers.get(predictor_optimizer)
        for opt, variables in self._optimizer_groups():
            opt.build(variables)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What `fit` averages over an epoch."""
        return [self.loss_tracker, self.z_std_tracker]

    @property
    def steps_done(self) -> int:
        """Training steps so far, over all calls of `fit` and across checkpoints."""
        return int(self.optimizer.iterations.numpy())

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """One step of Algorithm 1 on a batch of pairs."""
        with tf.GradientTape() as tape:
            loss, z1 = self._forward(data, training=True)
        groups = self._optimizer_groups()
        gradients = tape.gradient(loss, [variables for _, variables in groups])
        learning_rate = tf.identity(self.optimizer.learning_rate)
        for (optimizer, variables), group in zip(groups, gradients, strict=True):
            optimizer.apply_gradients(zip(group, variables, strict=True))
        self.loss_tracker.update_state(loss)
        self.z_std_tracker.update_state(z_std(z1))
        return {**{m.name: m.result() for m in self.metrics}, "learning_rate": learning_rate}

    def test_step(self, data) -> dict[str, tf.Tensor]:
        """The loss and z_std of a batch of pairs, BatchNorm in evaluation mode."""
        loss, z1 = self._forward(data, training=False)
        self.loss_tracker.update_state(loss)
        self.z_std_tracker.update_state(z_std(z1))
        return {m.name: m.result() for m in self.metrics}

    def _forward(self, data, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The symmetrised loss of equation 2, and z1."""
        x1, x2 = self._views(data)  # each [B, H, W, 3]
        z1 = self.projector(self.backbone(x1, training=training), training=training)  # [B, d]
        z2 = self.projector(self.backbone(x2, training=training), training=training)
        p1 = self.predictor(z1, training=training)  # [B, d]
        p2 = self.predictor(z2, training=training)
        return 0.5 * self._distance(p1, z2) + 0.5 * self._distance(p2, z1), z1

    def _distance(self, p: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        return negative_cosine_similarity(p, tf.stop_gradient(z) if self.stop_gradient else z)

    def _views(self, data) -> tuple[tf.Tensor, tf.Tensor]:
        if self.augmentation is None:
            x1, x2 = data
            self.image_size = self.image_size or x1.shape[1]
            return x1, x2
        return augment.make_views(self.augmentation, data, self.image_size)

    def _optimizer_groups(self) -> list[tuple[keras.optimizers.Optimizer, list]]:
        """Each optimiser with the variables that it trains."""
        encoder = self.backbone.trainable_variables + self.projector.trainable_variables
        predictor = self.predictor.trainable_variables
        if self.predictor_optimizer is None:
            return [(self.optimizer, encoder + predictor)]
        return [(self.optimizer, encoder), (self.predictor_optimizer, predictor)]

    def get_config(self) -> dict:
        """Everything that makes this model again, its three parts included."""
        parts = {"backbone": self.backbone, "projector": self.projector}
        parts["predictor"] = self.predictor
        return {
            **{k: keras.saving.serialize_keras_object(v) for k, v in parts.items()},
            "stop_gradient": self.stop_gradient,
            "augmentation": self.augmentation and dataclasses.asdict(self.augmentation),
            "image_size": self.image_size,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> SimSiam:
        """Makes the model again from `get_config`."""
        config = dict(config)
        for part in ("backbone", "projector", "predictor"):
            config[part] = keras.saving.deserialize_keras_object(config[part])
        if config["augmentation"] is not None:
            config["augmentation"] = Augmentation(**config["augmentation"])
        return cls(**config)

    def get_compile_config(self) -> dict:
        """The optimisers, for saving beside the weights."""
        optimizers = {"optimizer": self.optimizer, "predictor_optimizer": self.predictor_optimizer}
        return {
            **{k: keras.saving.serialize_keras_object(v) for k, v in optimizers.items()},
            "jit_compile": self.jit_compile,
        }

    def compile_from_config(self, config: dict) -> None:
        """Sets the saved optimisers."""
        self.compile(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})


def negative_cosine_similarity(p: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """D(p, z) of the paper's equation 1, averaged over the batch.

    Args:
        p: ``[B, d]``, a prediction.
        z: ``[B, d]``, its target.

    Returns:
        A scalar in [-1, 1], -1 where every p points the way of its z; float32 where p and z are
        of half precision, else of their type.
    """
    p, z = _normalized(p), _normalized(z)
    return -tf.reduce_mean(tf.reduce_sum(p * z, axis=1))


def z_std(z: tf.Tensor) -> tf.Tensor:
    """How spread out z is: 0 is collapsed, 1 is uniform on the sphere (paper, Section 4.1).

    Args:
        z: ``[B, d]``.

    Returns:
        The standard deviation over the batch of each dimension of z / |z|, averaged over
        dimensions and multiplied by √d; a scalar.
    """
    z = _normalized(z)
    root_d = tf.sqrt(tf.cast(tf.shape(z)[1], z.dtype))
    return root_d * tf.reduce_mean(tf.math.reduce_std(z, axis=0))


def _normalized(v: tf.Tensor) -> tf.Tensor:
    """v / |v| along the last axis, in float32 at least."""
    if v.dtype in (tf.float16, tf.bfloat16):
        v = tf.cast(v, tf.float32)
    return tf.math.l2_normalize(v, axis=-1)
