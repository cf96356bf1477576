"""Random erasing of a rectangle, torchvision's RandomErasing."""

from __future__ import annotations

import math
from typing import ClassVar

import tensorflow as tf

from keras_simsiam.augment.operation import Operation
from keras_simsiam.augment.planes import compiled

_TRIES = 10  # like torchvision, which erases nothing if none of ten rectangles fits


class Erase(Operation):
    """Erases a rectangle of some of the images (random erasing, Zhong et al., AAAI 2020).

    A rectangle has the mean of each channel, which normalization makes 0, torchvision's default.

    Parameters:
        sides: float32 ``[B, 2]``, height and width of the rectangle as shares of the view's side;
            0 changes nothing.
        corner: float32 ``[B, 2]`` in [0, 1), its place, as shares of the room that it leaves.
    """

    name = "erase"
    probability = "erase_probability"
    numbers: ClassVar = {"erase": 1, "area": _TRIES, "ratio": _TRIES, "corner": 2}

    def draw(self, augmentation, numbers, height, width):
        """Draws which images are erased, and the first of ten rectangles that fits into each."""
        (low, high), (broad, tall) = augmentation.erase_area, augmentation.erase_ratio
        area = low + (high - low) * numbers["area"]
        log_broad, log_tall = math.log(broad), math.log(tall)
        ratio = tf.exp(log_broad + (log_tall - log_broad) * numbers["ratio"])
        sides = tf.stack([tf.sqrt(area * ratio), tf.sqrt(area / ratio)], axis=2)
        fits = tf.reduce_all(sides < 1.0, axis=2)
        first = tf.gather(sides, tf.argmax(fits, axis=1), batch_dims=1)
        erase = numbers["erase"][:, 0] < augmentation.erase_probability
        erase &= tf.reduce_any(fits, axis=1)
        return {"sides": tf.where(erase[:, None], first, 0.0), "corner": numbers["corner"]}

    def apply(self, augmentation, planes, parameters, size):
        """Erases the rectangles."""
        box = rectangle(parameters["sides"], parameters["corner"], size)
        return erase(planes, box, augmentation.mean)


def rectangle(sides: tf.Tensor, corner: tf.Tensor, size: int) -> tf.Tensor:
    """The rectangles in pixels.

    Args:
        sides: See `Erase`.
        corner: See `Erase`.
        size: Side of the views in pixels.

    Returns:
        float32 ``[B, 4]``, top, left, height and width.
    """
    sides = tf.round(sides * size)
    room = size - sides
    # An integer from 0 to room; the minimum guards against a product that float32 rounds up.
    return tf.concat([tf.minimum(tf.floor(corner * (room + 1.0)), room), sides], axis=1)


@compiled
def erase(planes: tf.Tensor, box: tf.Tensor, value: tuple[float, ...]) -> tf.Tensor:
    """Gives the pixels in a rectangle of each image one value.

    Args:
        planes: float32 ``[B, C, H, W]``.
        box: float32 ``[B, 4]``, top, left, height and width of the rectangle in pixels.
        value: The value of each channel.

    Returns:
        float32 ``[B, C, H, W]``.
    """
    top, left, height, width = tf.unstack(box[:, :, None], axis=1)
    rows, columns = (tf.range(side, dtype=tf.float32)[None] for side in planes.shape[2:])
    rows = (rows >= top) & (rows < top + height)
    columns = (columns >= left) & (columns < left + width)
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return tf.where(inside, tf.constant(value, tf.float32)[None, :, None, None], planes)
