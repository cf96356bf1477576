"""What makes the targets besides the trained encoder: a network that follows it, or a memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_simsiam import _compat
from keras_simsiam.errors import InputError
from keras_simsiam.models.batch_norm import synchronize
from keras_simsiam.models.objectives import at_least_float32, of_whole_batch
from keras_simsiam.models.parts import output_dim, renewed
from keras_simsiam.target_rules import TargetRule


def targets_of(
    target: str,
    backbone: keras.Model,
    projector: keras.Model,
    steps: int | None,
    images: int | None,
    stop_gradient: bool,
) -> TargetNetwork | ImageTargets | None:
    """What makes the targets by a rule; None for the trained networks themselves.

    Args:
        target: See `keras_simsiam.target_rules.TargetRule`.
        backbone: The backbone that is trained.
        projector: The projector that is trained.
        steps: Steps of the whole training, which the rule "cosine" needs.
        images: Images in the dataset, which the rule "images" needs.
        stop_gradient: Whether targets are constants, which those of any rule but "self" are.

    Raises:
        InputError: If there is no such rule, it does not fit, or `steps` or `images` is missing.
    """
    rule = TargetRule.parse(target, stop_gradient)
    if rule is None:
        return None
    if rule.kind == "images":
        if images is None:
            raise InputError("images, their number, is required for the target images:M; got None")
        return ImageTargets(images, output_dim(projector, "projector"), rule.value)
    return TargetNetwork(backbone, projector, rule, steps)


class ImageTargets(keras.layers.Layer):
    """The moving average of each image's z (paper, Section 5.2)::

        η_x ← m η_x + (1 - m) z        # of every view of x; at first, η_x = 0

    The target of a view is this average with the z of the other view; after a step, the average
    with the mean of all views' z is kept. An image that is twice in a batch, at the end of an
    epoch, keeps that of its later place.

    The memory takes 4 · images · d bytes, in each checkpoint, too: 11 MB for 5,400 images and
    d = 512, 10 GB for ImageNet and d = 2048.

    Args:
        images: Images in the dataset.
        dim: d, the dimension of z.
        momentum: m, in [0, 1).
    """

    def __init__(self, images: int, dim: int, momentum: float):
        super().__init__(name="image_targets")
        self.momentum = momentum
        self.memory = self.add_weight(
            shape=(images, dim),
            initializer="zeros",
            trainable=False,
            name="memory",
            aggregation=_compat.ONLY_FIRST_REPLICA,
        )
        self.built = True

    def of(self, views, z: Sequence[tf.Tensor], training: bool, examples: tf.Tensor | None) -> list:
        """Targets ``[B, d]``, constants, for each view that is to be predicted.

        Args:
            views: Not used.
            z: Projections ``[B, d]`` of each view.
            training: Whether to keep the averages.
            examples: The images' numbers in the dataset, int64 ``[B]``.

        Raises:
            InputError: If there are no numbers.
        """
        if examples is None:
            raise InputError(
                "a batch must have the numbers of its images, as of views(..., numbered=True), for "
                "the target images:M; got none"
            )
        memory = _compat.tensorflow_variable(self.memory)
        kept = self.momentum * tf.gather(memory, examples)
        new = [(1 - self.momentum) * tf.stop_gradient(at_least_float32(v)) for v in z]
        if training:
            self._keep(of_whole_batch(examples), of_whole_batch(kept + tf.add_n(new) / len(new)))
        return [kept + v for v in new]

    def _keep(self, examples: tf.Tensor, averages: tf.Tensor) -> None:
        """Keeps the averages ``[N, d]`` of the images with the numbers ``[N]``."""
        # Of equal numbers all write the same, because the order of the writes is not defined.
        same = examples[:, None] == examples
        last = tf.reduce_max(tf.where(same, tf.range(tf.shape(examples)[0]), 0), axis=1)
        update = tf.IndexedSlices(tf.gather(averages, last), examples)
        _compat.tensorflow_variable(self.memory).scatter_update(update)

    def renew(self, backbone: keras.Model, projector: keras.Model) -> None:
        """Does nothing: there are no averages before the first step."""

    def follow(self, backbone: keras.Model, projector: keras.Model, step: tf.Tensor) -> None:
        """Does nothing: the averages were kept when the targets were made."""


class TargetNetwork(keras.layers.Layer):
    """A copy of backbone and projector that no optimizer trains.

    It follows the weights of the originals. The statistics of its BatchNorm are its own: in
    training it normalizes by the batch, as the originals do.

    Args:
        backbone: The backbone to follow.
        projector: The projector to follow.
        rule: How to follow, see `keras_simsiam.target_rules.TargetRule`.
        steps: Steps of the whole training, which the rule "cosine" needs.

    Raises:
        InputError: If there is no such rule, or `steps` is missing.
    """

    def __init__(
        self,
        backbone: keras.Model,
        projector: keras.Model,
        rule: TargetRule,
        steps: int | None = None,
    ):
        super().__init__(name="target")
        if rule.kind == "cosine" and steps is None:
            raise InputError("steps is required for a target's momentum that rises to 1; got None")
        self.rule, self.steps = rule, steps
        self.backbone, self.projector = _copy(backbone), _copy(projector)
        self.built = True

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """z ``[B, d]`` of a view ``[B, H, W, 3]``, without gradient."""
        z = self.projector(self.backbone(x, training=training), training=training)
        return tf.stop_gradient(z)

    def of(self, views, z, training: bool, examples: tf.Tensor | None = None) -> list:
        """Targets ``[B, d]`` of each view ``[B, H, W, 3]``; z and examples are not used."""
        return [self(x, training=training) for x in views]

    def renew(self, backbone: keras.Model, projector: keras.Model) -> None:
        """Copies all weights of the originals, which have been given others before training."""
        self.backbone.set_weights(backbone.get_weights())
        self.projector.set_weights(projector.get_weights())

    def follow(self, backbone: keras.Model, projector: keras.Model, step: tf.Tensor) -> None:
        """Updates the weights once the originals were trained.

        Args:
            backbone: The backbone to follow.
            projector: The projector to follow.
            step: Steps before this one, int64.
        """
        mine = self.backbone.trainable_variables + self.projector.trainable_variables
        theirs = backbone.trainable_variables + projector.trainable_variables
        m = self.momentum(step)
        averages = []
        for target, online in zip(mine, theirs, strict=True):
            m_ = tf.cast(m, target.dtype)
            averages.append(
                m_ * tf.convert_to_tensor(target) + (1 - m_) * tf.convert_to_tensor(online)
            )
        assign(mine, averages)

    def momentum(self, step: tf.Tensor) -> tf.Tensor:
        """The share of its weights, float64, that the target keeps after a step."""
        value = tf.constant(self.rule.value, tf.float64)
        if self.rule.kind == "every":
            renewed = (step + 1) % int(self.rule.value) == 0
            return tf.where(renewed, tf.constant(0.0, tf.float64), 1.0)
        if self.rule.kind == "cosine":  # BYOL, Section 3.3
            done = tf.cast(step, tf.float64) / self.steps
            return 1 - (1 - value) * (tf.cos(math.pi * done) + 1) / 2
        return value


def assign(variables: Sequence, values: Sequence[tf.Tensor]) -> None:
    """Assigns values, which are equal on all devices, within a training step."""

    def on_each_device(strategy, values):
        for variable, value in zip(variables, values, strict=True):
            strategy.extended.update(
                _compat.tensorflow_variable(variable), lambda v, x: v.assign(x), args=(value,)
            )

    tf.distribute.get_replica_context().merge_call(on_each_device, args=(list(values),))


def _copy(network: keras.Model) -> keras.Model:
    copy = renewed(network)
    synchronize(copy)  # Keras 2 does not say it in the config that is copied
    copy.set_weights(network.get_weights())
    return copy
