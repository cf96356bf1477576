"""What every joint-embedding method needs: the training step, saving, devices, mixed precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self, TypedDict, Unpack

import keras
import tensorflow as tf

from keras_simsiam import _compat, augment, config
from keras_simsiam.arrays import check_views
from keras_simsiam.config import Augmentation
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Count, checks_arguments
from keras_simsiam.models import batches
from keras_simsiam.models.gradients import checked, with_loss_scale
from keras_simsiam.models.objectives import mean_over_replicas, replicas, share, z_std
from keras_simsiam.models.parts import check_parts
from keras_simsiam.models.saving import SavedWithParts, each_of
from keras_simsiam.optimizers import named
from keras_simsiam.preprocessing import Preprocessing, remembered


class ModelArguments(TypedDict, total=False):
    """The arguments of `keras.Model`, spelled out so that type checkers find misspelt ones."""

    name: str | None
    trainable: bool
    dtype: Any


class Length(NamedTuple):
    """How long a training is, for what changes during it."""

    steps: int
    """Steps of the whole training."""
    steps_per_epoch: int
    """Steps of an epoch."""


class JointEmbedding(SavedWithParts):
    """Base of models that learn features by embedding several views of each image.

    A method subclasses it, passes its networks to the constructor, and defines `forward`. If it has
    settings, it extends `get_config`; if it updates anything besides the optimizers' variables,
    such as a target network, it overrides `before_step` or `after_step`.

    Calling the model returns the backbone's features. Each step logs ``loss``, ``z_std`` (see
    `keras_simsiam.models.objectives.z_std`) and ``learning_rate``.

    Created within the scope of a `tf.distribute.Strategy`, it trains on several devices as on one:
    the batch is split, and loss, gradients, BatchNorm and z_std are those of the whole batch. With
    Keras's policy "mixed_float16" the loss is scaled.

    Args:
        parts: The networks by name, as attributes and in `parts`: "backbone", "projector" and
            whatever else the method trains. An optimizer of its own can train a "predictor".
        augmentation: Makes the views within the training step, from the batches of
            ``views(..., augment_on="device")``: one `Augmentation`, or one per view. If None,
            batches are the views themselves.
        image_size: Side of the views in pixels. Required with `augmentation`; otherwise that of
            the first batch.

    Attributes:
        preprocessing: How whole images become inputs of the backbone; None if the image size is not
            known yet. It is that of `augmentation` or, in `fit`, of the views that
            `keras_simsiam.views` makes; from other batches only the image size is taken, and
            ImageNet's mean and std are assumed. It is saved with the model, and export and
            evaluation use it.

    Raises:
        InputError: If a network is none, the networks do not fit one another, `image_size` is
            missing, or the augmentations differ in mean or std.
    """

    backbone: keras.Model
    projector: keras.Model
    view_count: int | None = None  # how many views a batch must have, if that is fixed

    @checks_arguments
    def __init__(
        self,
        parts: dict[str, keras.Model],
        augmentation: Augmentation | Sequence[Augmentation] | None = None,
        image_size: Count | None = None,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(**kwargs)
        check_parts(parts, image_size)
        for name, part in parts.items():
            setattr(self, name, part)
        self._part_names = tuple(parts)
        self.augmentation = augmentation
        self.preprocessing: Preprocessing | None = None
        self._assumed: Preprocessing | None = None  # a preprocessing without a known mean and std
        if augmentation is not None:
            if image_size is None:
                raise InputError("image_size is required to augment within the step; got None")
            self.preprocessing = Preprocessing.of_views(each_of(augmentation), image_size)
        elif image_size is not None:
            self.preprocessing = self._assumed = Preprocessing(image_size)
        self.loss_tracker = _compat.Mean(name="loss")
        self.z_std_tracker = _compat.Mean(name="z_std")
        # The optimizers do not count steps that loss scaling skips.
        self.step_counter = self.add_weight(
            dtype="int64", trainable=False, aggregation=_compat.ONLY_FIRST_REPLICA, name="steps"
        )
        # The parts are built, and `fit` must not try to build by calling the model on a batch.
        self.built = True

    # What a method defines.

    def forward(self, views: tuple[tf.Tensor, ...], training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of a batch, and z1.

        Args:
            views: x1, x2 and so on, float32 ``[B, H, W, 3]`` each.
            training: Whether BatchNorm normalizes by the batch.

        Returns:
            A scalar, the mean over this device's images, and the projections of the first view
            ``[B, d]``.
        """
        raise NotImplementedError

    @classmethod
    def from_settings(
        cls, settings: config.Model, backbone: keras.Model, length: Length, **kwargs: Any
    ) -> Self:
        """Builds the method's networks as the configuration says.

        Args:
            settings: The configuration.
            backbone: The backbone that it names.
            length: Of the training.
            **kwargs: ``augmentation`` and ``image_size``.
        """
        raise NotImplementedError

    def before_step(self) -> None:
        """Called before a training step's forward pass."""

    def after_step(self) -> None:
        """Called after the optimizers have updated the weights, before the step is counted."""

    def predictor_variables(self) -> list:
        """Variables that `predictor_optimizer` trains: those of the predictor, if there is one."""
        predictor = self.parts.get("predictor")
        return predictor.trainable_variables if predictor is not None else []

    # What others ask a model.

    @property
    def parts(self) -> dict[str, keras.Model]:
        """The networks by name."""
        return {name: getattr(self, name) for name in self._part_names}

    @property
    def image_size(self) -> int | None:
        """Side of the views in pixels; None if it is not known yet."""
        return self.preprocessing.image_size if self.preprocessing else None

    @property
    def steps_done(self) -> int:
        """Training steps so far, over all calls of `fit` and across checkpoints."""
        return int(self.step_counter.numpy())

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Backbone features ``[B, D]`` of normalized images ``[B, H, W, 3]``.

        Raises:
            InputError: If the images are integers, which have not been normalized.
        """
        check_views(images, "images")
        return self.backbone(images, training=training)

    def encode(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """z ``[B, d]`` of a view ``[B, H, W, 3]``."""
        return self.projector(self.backbone(x, training=training), training=training)

    def representations(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Outputs ``[B, D]`` of "backbone" and ``[B, d]`` of "projector", in inference mode."""
        h = self.backbone(images, training=False)
        return {"backbone": h, "projector": self.projector(h, training=False)}

    # Keras's interface.

    def compile(
        self, optimizer="rmsprop", predictor_optimizer=None, jit_compile: bool = False, **kwargs
    ) -> None:
        """Sets the optimizers.

        Args:
            optimizer: Any Keras optimizer.
            predictor_optimizer: Optimizer of the predictor; if None, `optimizer` trains it.
            jit_compile: Whether XLA compiles the training step. Keras's default is to do so, which
                is slower for convolutions on CPUs.
            **kwargs: See `keras.Model.compile`.

        Raises:
            InputError: If an optimizer is none that Keras knows.
        """
        optimizers = [named("optimizer", optimizer)]
        optimizers += [predictor_optimizer and named("predictor_optimizer", predictor_optimizer)]
        if self.dtype_policy.name == "mixed_float16":
            optimizers = [o and with_loss_scale(o) for o in optimizers]
        super().compile(optimizer=optimizers[0], jit_compile=jit_compile, **kwargs)
        self.predictor_optimizer = optimizers[1]
        for opt, variables in self._optimizer_groups():
            _compat.build(opt, variables)

    def fit(self, x=None, *args, **kwargs):
        """Trains as `keras.Model.fit` does.

        Raises:
            InputError: If `keras_simsiam.views` made the views by another preprocessing than the
                model's, there is a ``class_weight``, or a batch leaves a device without images.
        """
        batches.refuse_class_weight(kwargs)
        made = remembered(x)
        if made is not None:
            if self.augmentation is not None:  # its size, not that of `views`
                made = made.replace(image_size=self.image_size)
            self.preprocessing = batches.agreed(made, self.preprocessing, self._assumed)
        with batches.enough_images():
            return super().fit(x, *args, **kwargs)

    def train_on_batch(self, *args, **kwargs):
        """Takes one step, on ``(x1, x2)`` or, for more than two views, on a tuple of them."""
        batches.refuse_class_weight(kwargs)
        return super().train_on_batch(*args, **kwargs)

    def export(self, *args, **kwargs):
        """Exports the backbone, which is what calling the model calls."""
        return self.backbone.export(*args, **kwargs)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics that `fit` averages over an epoch."""
        return [self.loss_tracker, self.z_std_tracker]

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """One training step on a batch.

        Raises:
            tf.errors.InvalidArgumentError: If a gradient is not finite, naming the first such
                variable; no weight has been changed. Not if XLA compiles the step, and not with
                mixed_float16, where loss scaling skips the step.
        """
        groups = self._optimizer_groups()
        self.before_step()
        views, sample_weight = self._views(data)
        part = share(views[0])
        batches.assert_images(part, self.jit_compile)
        with tf.GradientTape() as tape:
            loss, z1 = self._forward(views, True, sample_weight)
            # Optimizers sum the gradients of the replicas.
            scaled = _compat.scale_loss(self.optimizer, loss * part) / replicas()
        gradients = tape.gradient(scaled, [variables for _, variables in groups])
        paths = [_compat.path_of(v) for _, variables in groups for v in variables]
        gradients = checked(gradients, paths, self.optimizer, raises=not self.jit_compile)
        learning_rate = _compat.learning_rate(self.optimizer)
        for (optimizer, variables), group in zip(groups, gradients, strict=True):
            _compat.apply_gradients(optimizer, group, variables)
        self.after_step()
        with tf.control_dependencies([g for g in tf.nest.flatten(gradients) if g is not None]):
            self.step_counter.assign_add(1)
        return {**self._track(loss, z1, views), "learning_rate": learning_rate}

    def test_step(self, data) -> dict[str, tf.Tensor]:
        """Loss and z_std of a batch, with BatchNorm in inference mode."""
        views, sample_weight = self._views(data)
        return self._track(*self._forward(views, False, sample_weight), views)

    def predict_step(self, data) -> tf.Tensor:
        """Features of a batch of images."""
        images, _ = batches.unpacked(data)
        return self(images, training=False)

    def _views(self, data) -> tuple[tuple[tf.Tensor, ...], tf.Tensor | None]:
        """The views of a batch, float32 ``[B, H, W, 3]`` each, and the weights of its images.

        Raises:
            InputError: If the batch is no batch of views.
        """
        batch, sample_weight = batches.unpacked(data)
        if self.augmentation is not None and self.image_size is not None:
            return augment.make_views(self.augmentation, batch, self.image_size), sample_weight
        batches.check(batch, self.view_count)
        if self.preprocessing is None:
            self.preprocessing = self._assumed = Preprocessing(batch[0].shape[1])
        return tuple(batch), sample_weight

    def _forward(self, views, training: bool, sample_weight) -> tuple[tf.Tensor, tf.Tensor]:
        """`forward`, which need not know weights."""
        if sample_weight is None:
            return self.forward(views, training=training)
        weighted: Any = self.forward  # with an argument more
        batches.check_weighted(weighted)
        return weighted(views, training=training, sample_weight=sample_weight)

    def _optimizer_groups(self) -> list[tuple[keras.optimizers.Optimizer, list]]:
        """Each optimizer with the variables that it trains."""
        predictor = self.predictor_variables()
        others = [part for name, part in self.parts.items() if name != "predictor"]
        encoder = [variable for part in others for variable in part.trainable_variables]
        if self.predictor_optimizer is None or not predictor:
            return [(self.optimizer, encoder + predictor)]
        return [(self.optimizer, encoder), (self.predictor_optimizer, predictor)]

    def _track(self, loss: tf.Tensor, z1: tf.Tensor, views) -> dict[str, tf.Tensor]:
        """Adds a batch to the averages of the epoch, and returns them."""
        count = None
        if views[0].shape[0] is None:  # the last batch may be smaller
            count = mean_over_replicas(tf.cast(tf.shape(views[0])[0], tf.float32))
        self.loss_tracker.update_state(mean_over_replicas(loss, share(views[0])), count)
        self.z_std_tracker.update_state(z_std(z1), count)
        return {m.name: m.result() for m in self.metrics}
