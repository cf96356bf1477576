"""Target networks: a second encoder that follows the one that is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_simsiam import _compat
from keras_simsiam.errors import InputError
from keras_simsiam.target_rules import TargetRule


class Target(keras.layers.Layer):
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
    copy = type(network).from_config(network.get_config())
    if not copy.built:
        copy.build_from_config(network.get_build_config())
    copy.set_weights(network.get_weights())
    return copy
