"""Planes, the layout of images on which all operations work: float32 ``[B, C, H, W]`` in [0, 1].

Channels come first, so that neighbors in memory get the same arithmetic in every operation.

Every pixel function in this package works on a whole batch, with separate parameters for each
image. Shapes are static, and XLA compiles each function separately, on the host inside `tf.data` as
on an accelerator. Compiled together they would be slower, because XLA's compiler for CPUs would
compute a pixel again for each later operation that reads it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow as tf

compiled = functools.partial(tf.function, jit_compile=True, autograph=False)
"""Decorator of pixel functions."""

_LUMA = (0.2989, 0.587, 0.114)  # torchvision's rgb_to_grayscale


@compiled
def to_planes(images: tf.Tensor) -> tf.Tensor:
    """Converts uint8 images ``[B, H, W, C]`` to planes."""
    return tf.transpose(tf.cast(images, tf.float32) / 255.0, [0, 3, 1, 2])


@compiled
def to_images(planes: tf.Tensor) -> tf.Tensor:
    """Transposes planes to ``[B, H, W, C]``; values are unchanged."""
    return tf.transpose(planes, [0, 2, 3, 1])


@compiled
def normalize(planes: tf.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> tf.Tensor:
    """Subtracts the mean of each channel and divides by its standard deviation."""
    mean, std = (tf.reshape(tf.constant(v, tf.float32), [1, -1, 1, 1]) for v in (mean, std))
    return (planes - mean) / std


def luma(channels: Sequence[tf.Tensor]) -> tf.Tensor:
    """The gray value of red, green and blue, weighted as in torchvision."""
    red, green, blue = channels
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
