"""Random turns by multiples of 90 degrees."""

from __future__ import annotations

from typing import ClassVar

import tensorflow as tf

from keras_simsiam.augment.operation import Operation
from keras_simsiam.augment.planes import compiled


class Turn(Operation):
    """Turns some of the images by 90, 180 or 270 degrees, each equally likely.

    Parameters:
        turns: int32 ``[B]``, quarter turns counterclockwise, 0 to 3.
    """

    name = "turn"
    probability = "turn_probability"
    numbers: ClassVar = {"turn": 1, "turns": 1}

    def draw(self, augmentation, numbers, height, width):
        """Draws which images are turned, and how far."""
        turn = numbers["turn"][:, 0] < augmentation.turn_probability
        turns = 1 + tf.cast(3.0 * numbers["turns"][:, 0], tf.int32)
        # The minimum guards against a number so near 1 that float32 rounds the product up.
        return {"turns": tf.where(turn, tf.minimum(turns, 3), 0)}

    def apply(self, augmentation, planes, parameters, size):
        """Turns the images."""
        return quarter_turns(planes, parameters["turns"])


@compiled
def quarter_turns(planes: tf.Tensor, turns: tf.Tensor) -> tf.Tensor:
    """Turns each image counterclockwise.

    Args:
        planes: float32 ``[B, C, S, S]``, square.
        turns: int32 ``[B]``, quarter turns, 0 to 3.

    Returns:
        float32 ``[B, C, S, S]``.
    """
    turns = turns[:, None, None, None]
    planes = tf.where(turns % 2 == 1, tf.transpose(planes, [0, 1, 3, 2]), planes)
    planes = tf.where((turns == 1) | (turns == 2), planes[:, :, ::-1], planes)
    return tf.where(turns >= 2, planes[..., ::-1], planes)
