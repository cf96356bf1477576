"""SimSiam itself (Chen and He 2021, arXiv 2011.10566, Algorithm 1)."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from keras_simsiam import _compat, augment
from keras_simsiam.config import Augmentation
from keras_simsiam.errors import check_choice
from keras_simsiam.models import heads
from keras_simsiam.models.multi_worker import MultiWorkerFit

NOT_FINITE = "a gradient is not finite, first that of"
"""How the error of a step begins whose gradients cannot be applied."""


@keras.saving.register_keras_serializable("keras_simsiam")
class SimSiam(MultiWorkerFit, _compat.Keras2Model, keras.Model):
    """Learns image features from pairs of views, without labels.

    ``fit`` takes batches ``(x1, x2)``: two float32 tensors ``[B, H, W, 3]`` with a random view of
    each of B images, as `keras_simsiam.data.views` makes them. With an `augmentation`, it takes
    the batches of ``views(..., augment_on="device")`` instead and makes the views inside the
    training step, on the accelerator. The paper's ablations are arguments.

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
        train_predictor: Whether the predictor is trained; False leaves it as it was drawn
            (Table 1b).
        similarity: "cosine", or "cross_entropy" of softmaxes (Section 4.5).
        symmetry: "symmetric", the loss of equation 2; "asymmetric", D(p1, z2) alone; or
            "two_pairs", D(p1, z2) and D(p3, z4) of batches ``(x1, x2, x3, x4)`` (Section 4.6).
        augmentation: Makes the views inside the step from device batches; None takes views.
        image_size: Side of the views in pixels; needed with `augmentation`, else learnt from the
            first batch. `export_encoder` resizes to it.

    Made inside the scope of a `tf.distribute.Strategy`, it trains on all its devices as on one: the
    batch is shared out, and loss, gradients and z_std are those of the whole batch. With Keras's
    policy "mixed_float16" it scales the loss; "mixed_bfloat16" needs nothing.

    Raises:
        ValueError: If the backbone's output is not one vector an image.
        InputError: If there is no such similarity or symmetry.
    """

    def __init__(
        self,
        backbone: keras.Model,
        projector: keras.Model | None = None,
        predictor: keras.Model | None = None,
        stop_gradient: bool = True,
        train_predictor: bool = True,
        similarity: str = "cosine",
        symmetry: str = "symmetric",
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
        check_choice("similarity", similarity, SIMILARITIES)
        check_choice("symmetry", symmetry, SYMMETRIES)
        self.backbone = backbone
        self.projector = projector or heads.projector(backbone.output_shape[1])
        self.predictor = predictor or heads.predictor(self.projector.output_shape[1])
        self.stop_gradient = stop_gradient
        self.train_predictor = train_predictor
        self.similarity = similarity
        self.symmetry = symmetry
        self.augmentation = augmentation
        self.image_size = image_size
        self.loss_tracker = _compat.Mean(name="loss")
        self.z_std_tracker = _compat.Mean(name="z_std")
        # The optimisers do not count the steps that loss scaling skips.
        self.step_counter = self.add_weight(
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            aggregation=_compat.ONLY_FIRST_REPLICA,
            name="steps",
        )
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
        optimizers = [o and keras.optimizers.get(o) for o in (optimizer, predictor_optimizer)]
        if self.dtype_policy.name == "mixed_float16":
            optimizers = [o and _with_loss_scale(o) for o in optimizers]
        super().compile(optimizer=optimizers[0], jit_compile=jit_compile, **kwargs)
        self.predictor_optimizer = optimizers[1]
        for opt, variables in self._optimizer_groups():
            _compat.build(opt, variables)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What `fit` averages over an epoch."""
        return [self.loss_tracker, self.z_std_tracker]

    @property
    def steps_done(self) -> int:
        """Training steps so far, over all calls of `fit` and across checkpoints."""
        return int(self.step_counter.numpy())

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """One step of Algorithm 1 on a batch of pairs.

        Raises:
            tf.errors.InvalidArgumentError: If a gradient is not finite, naming the first such
                variable; no weight has been changed then. Not where XLA compiles the step, and not
                in float16, where loss scaling skips the step.
        """
        groups = self._optimizer_groups()
        with tf.GradientTape() as tape:
            loss, z1 = self._forward(data, training=True)
            # Optimisers add up what the replicas give them.
            scaled = _compat.scale_loss(self.optimizer, loss) / _replicas()
        gradients = tape.gradient(scaled, [variables for _, variables in groups])
        gradients = self._checked(gradients, [_compat.path_of(v) for _, vs in groups for v in vs])
        learning_rate = _compat.learning_rate(self.optimizer)
        for (optimizer, variables), group in zip(groups, gradients, strict=True):
            _compat.apply_gradients(optimizer, group, variables)
        with tf.control_dependencies(tf.nest.flatten(gradients)):
            self.step_counter.assign_add(1)
        return {**self._track(loss, z1), "learning_rate": learning_rate}

    def _checked(self, gradients: list[list], paths: list[str]) -> list[list]:
        """The gradients, if all are finite; what is done if not hangs on the precision."""
        flat = tf.nest.flatten(gradients)
        finite = tf.stack([tf.reduce_all(tf.math.is_finite(g)) for g in flat])
        if isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer):
            # Each optimiser looks at its own gradients; both must skip the same steps, so that
            # they keep the same scale.
            all_finite = tf.reduce_all(finite)
            flat = [tf.where(all_finite, g, tf.constant(float("nan"), g.dtype)) for g in flat]
        elif not self.jit_compile:  # XLA has no such errors
            first = tf.gather(paths, tf.argmin(tf.cast(finite, tf.int32)))
            check = tf.debugging.Assert(tf.reduce_all(finite), [NOT_FINITE, first])
            with tf.control_dependencies([check] if check is not None else []):
                flat = [tf.identity(g) for g in flat]
        return tf.nest.pack_sequence_as(gradients, flat)

    def test_step(self, data) -> dict[str, tf.Tensor]:
        """The loss and z_std of a batch of pairs, BatchNorm in evaluation mode."""
        return self._track(*self._forward(data, training=False))

    def _track(self, loss: tf.Tensor, z1: tf.Tensor) -> dict[str, tf.Tensor]:
        """Adds a batch to what is averaged over the epoch, and gives the averages so far."""
        self.loss_tracker.update_state(_mean_over_replicas(loss))
        self.z_std_tracker.update_state(z_std(z1))
        return {m.name: m.result() for m in self.metrics}

    def _forward(self, data, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of a batch, and z1."""
        views = self._views(data)  # each [B, H, W, 3]
        # One pass a view, so that BatchNorm sees each view by itself.
        z = [self.projector(self.backbone(x, training=training), training=training) for x in views]
        pairs = SYMMETRIES[self.symmetry]
        distances = [
            self._distance(self.predictor(z[i], training=training), z[j]) for i, j in pairs
        ]
        return tf.add_n(distances) / len(pairs), z[0]

    def _distance(self, p: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        target = tf.stop_gradient(z) if self.stop_gradient else z
        return SIMILARITIES[self.similarity](p, target)

    def _views(self, data) -> tuple[tf.Tensor, ...]:
        if self.augmentation is not None:
            return augment.make_views(self.augmentation, data, self.image_size)
        self.image_size = self.image_size or data[0].shape[1]
        return data

    def _optimizer_groups(self) -> list[tuple[keras.optimizers.Optimizer, list]]:
        """Each optimiser with the variables that it trains."""
        encoder = self.backbone.trainable_variables + self.projector.trainable_variables
        # A fixed predictor is left out here and not frozen: Keras would freeze its BatchNorm too.
        predictor = self.predictor.trainable_variables if self.train_predictor else []
        if self.predictor_optimizer is None or not predictor:
            return [(self.optimizer, encoder + predictor)]
        return [(self.optimizer, encoder), (self.predictor_optimizer, predictor)]

    def get_config(self) -> dict:
        """Everything that makes this model again, its three parts included."""
        parts = {"backbone": self.backbone, "projector": self.projector}
        parts["predictor"] = self.predictor
        return {
            **{k: keras.saving.serialize_keras_object(v) for k, v in parts.items()},
            "stop_gradient": self.stop_gradient,
            "train_predictor": self.train_predictor,
            "similarity": self.similarity,
            "symmetry": self.symmetry,
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


def softmax_cross_entropy(p: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of softmax(p) to its target softmax(z), averaged (paper, Section 4.5).

    Args:
        p: ``[B, d]``, a prediction.
        z: ``[B, d]``, its target.

    Returns:
        A scalar of at least 0, and log d where both are flat; float32 at least.
    """
    p, z = _float32_at_least(p), _float32_at_least(z)
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(z), p))


def z_std(z: tf.Tensor) -> tf.Tensor:
    """How spread out z is: 0 is collapsed, 1 is uniform on the sphere (paper, Section 4.1).

    Args:
        z: ``[B, d]``.

    Returns:
        The standard deviation over the batch, that of all replicas, of each dimension of z / |z|,
        averaged over dimensions and multiplied by √d; a scalar.
    """
    z = _normalized(z)
    root_d = tf.sqrt(tf.cast(tf.shape(z)[1], z.dtype))
    mean = _mean_over_replicas(tf.reduce_mean(z, axis=0))
    variance = _mean_over_replicas(tf.reduce_mean(tf.square(z - mean), axis=0))
    return root_d * tf.reduce_mean(tf.sqrt(variance))


def _with_loss_scale(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    if isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        return optimizer
    return keras.mixed_precision.LossScaleOptimizer(optimizer)


def _replicas() -> int:
    """How many devices share the batch."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def _mean_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """The mean of what each device has, on each of them; all have as many images.

    Outside of the devices' own work, as in callbacks, there is only one value.
    """
    if _replicas() == 1 or tf.distribute.in_cross_replica_context():
        return value
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, value)


def _normalized(v: tf.Tensor) -> tf.Tensor:
    """v / |v| along the last axis."""
    return tf.math.l2_normalize(_float32_at_least(v), axis=-1)


def _float32_at_least(v: tf.Tensor) -> tf.Tensor:
    return tf.cast(v, tf.float32) if v.dtype in (tf.float16, tf.bfloat16) else v


SIMILARITIES = {
    "cosine": negative_cosine_similarity,
    "cross_entropy": softmax_cross_entropy,
}
"""What the loss measures between a prediction and its target, by name."""

SYMMETRIES = {
    "symmetric": ((0, 1), (1, 0)),
    "asymmetric": ((0, 1),),
    "two_pairs": ((0, 1), (2, 3)),
}
"""Which view predicts which, by name."""
