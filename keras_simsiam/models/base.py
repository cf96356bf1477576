"""What every joint-embedding method is: networks by name, a loss of views, settings, targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self, TypedDict, Unpack

import keras
import tensorflow as tf

from keras_simsiam import _compat, config
from keras_simsiam.arrays import check_views
from keras_simsiam.augmentation import Augmentation
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Count, checks_arguments
from keras_simsiam.models import heads
from keras_simsiam.models.parts import check_parts, check_takes, input_channels, output_dim
from keras_simsiam.models.saving import each_of
from keras_simsiam.models.steps import TrainedOnViews
from keras_simsiam.models.targets import ImageTargets, TargetNetwork
from keras_simsiam.preprocessing import Preprocessing
from keras_simsiam.view_rules import SmallViews


class ModelArguments(TypedDict, total=False):
    """The arguments of `keras.Model`, spelled out so that type checkers find misspelt ones."""

    name: str | None
    trainable: bool
    dtype: Any


class Length(NamedTuple):
    """How long a training is, for what changes during it, and on how many images."""

    steps: int
    """Steps of the whole training."""
    steps_per_epoch: int
    """Steps of an epoch."""
    images: int | None = None
    """Images in the dataset; None if nothing is kept by image."""


class JointEmbedding(TrainedOnViews):
    """Base of models that learn features by embedding several views of each image.

    A method subclasses it, passes its networks to the constructor, and defines `forward`. If it has
    settings, it lists them in `settings`; if it updates anything besides the optimizers' variables,
    it overrides `before_step` or `after_step`.

    Calling the model returns the backbone's features. Each step logs ``loss``, ``z_std`` (see
    `keras_simsiam.models.objectives.z_std`) and ``learning_rate``. Regularizers of layers, and what
    layers add by ``add_loss``, are minimized with the loss and not logged.

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
        small_views: The small views that follow the others in a batch (multi-crop), for methods
            that take them.

    Attributes:
        settings: Names of the method's other arguments. Each is an attribute, too; they are saved
            with the model, and in a run the configuration sets them.
        targets: What makes the targets, if the trained networks do not.
        preprocessing: How whole images become inputs of the backbone; None if the image size is not
            known yet. It is that of `augmentation` or, in `fit`, of the views that
            `keras_simsiam.views` makes; from other batches only the image size is taken, and
            ImageNet's mean and std are assumed. It is saved with the model, and export and
            evaluation use it.

    Raises:
        InputError: If a network is not a Keras model, the networks do not fit one another,
            `image_size` is missing, or the augmentations differ in mean or std.
    """

    backbone: keras.Model
    projector: keras.Model
    view_count: int | None = None  # how many views a batch must have, if fixed; without small ones
    takes_small_views = False  # whether `forward` knows what to do with small views
    settings: ClassVar[tuple[str, ...]] = ()
    targets: TargetNetwork | ImageTargets | None = None

    @checks_arguments
    def __init__(
        self,
        parts: dict[str, keras.Model],
        augmentation: Augmentation | Sequence[Augmentation] | None = None,
        image_size: Count | None = None,
        small_views: SmallViews | None = None,
        **kwargs: Unpack[ModelArguments],
    ):
        super().__init__(**kwargs)
        check_parts(parts, image_size)
        if small_views is not None:
            self._check_small(small_views, parts["backbone"], image_size)
        self.small_views = small_views
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
            channels = input_channels(parts["backbone"])
            self.preprocessing = self._assumed = Preprocessing.assumed(image_size, channels)
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
            views: x1, x2 and so on, float32 ``[B, H, W, 3]`` each; the small ones last.
            training: Whether BatchNorm normalizes by the batch.

        Returns:
            A scalar, the mean over this device's images, and the projections of the first view
            ``[B, d]``.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    @classmethod
    def from_settings(
        cls, settings: config.Model, backbone: keras.Model, length: Length, **kwargs: Any
    ) -> Self:
        """Builds the heads that the configuration describes, and the model.

        Args:
            settings: The configuration.
            backbone: The backbone that it names.
            length: Of the training.
            **kwargs: ``augmentation``, ``image_size``, ``small_views``, and what a subclass adds.
        """
        known = {**vars(settings), **length._asdict()}
        arguments = {name: known[name] for name in cls.settings if name in known}
        if settings.predictor is not None:
            arguments["predictor"] = heads.predictor_of(settings)
        projector = heads.projector_of(settings, output_dim(backbone))
        return cls(backbone, projector, **arguments, **kwargs)

    def before_step(self) -> None:
        """Called before a training step's forward pass."""
        return  # AutoGraph cannot convert a body of nothing but its docstring

    def after_step(self) -> None:
        """Called after the optimizers have updated the weights, before the step is counted."""
        if self.targets is not None:
            self.targets.follow(self.backbone, self.projector, self.step_counter)

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

    def _check_small(self, small: SmallViews, backbone: keras.Model, size: int | None) -> None:
        """Raises InputError unless the method and the backbone take small views."""
        if not self.takes_small_views:
            raise InputError(
                f"small_views must be None for {type(self).__name__}, which takes views of one "
                f"size; got {small}"
            )
        if size is not None:
            small.check_below(size)
        check_takes(backbone, small.size, output_dim(backbone, image_size=size))


def network_of(model: keras.Model) -> keras.Model:
    """The network that makes the features: a method's backbone, or the model itself."""
    return model.backbone if isinstance(model, JointEmbedding) else model
