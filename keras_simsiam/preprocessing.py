"""What turns whole images into a network's input. It belongs to an encoder as its weights do."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import tensorflow as tf

from keras_simsiam.config import IMAGENET_MEAN, IMAGENET_STD
from keras_simsiam.fields import Settings, setting


@dataclass(frozen=True)
class Preprocessing(Settings):
    """Resizes, crops and normalizes whole images, as evaluation and the exported encoder do.

    Calling it turns uint8 images ``[B, H, W, 3]`` of any size into float32
    ``[B, image_size, image_size, 3]``: the short side is resized to `image_size`, the center is
    cropped, and each channel is normalized.
    """

    image_size: int = setting(at_least=1)
    """Side in pixels at which the network was trained."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Mean of each channel, in [0, 1]."""
    std: tuple[float, float, float] = setting(IMAGENET_STD, above=0)
    """Standard deviation of each channel."""

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Normalized float32 ``[B, image_size, image_size, 3]`` of uint8 ``[B, H, W, 3]``."""
        pixels = resize_square(tf.cast(images, tf.float32), self.image_size)
        return (pixels / 255.0 - self.mean) / self.std

    def get_config(self) -> dict:
        """The arguments that make this again."""
        return dataclasses.asdict(self)


def resize_square(images: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes the short side to `size`, antialiased bilinear, and crops the center.

    Args:
        images: ``[..., H, W, 3]``, one image or a batch, values of any range.
        size: Side of the result in pixels.

    Returns:
        float32 ``[..., size, size, 3]``.
    """
    height, width = tf.shape(images)[-3], tf.shape(images)[-2]
    short = tf.minimum(height, width)
    target = [
        tf.cast(tf.round(tf.cast(side, tf.float64) * size / tf.cast(short, tf.float64)), tf.int32)
        for side in (height, width)
    ]
    images = tf.image.resize(images, target, antialias=True)
    top, left = (target[0] - size) // 2, (target[1] - size) // 2
    images = images[..., top : top + size, left : left + size, :]
    return tf.ensure_shape(images, [*images.shape[:-3], size, size, 3])
