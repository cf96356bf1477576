"""Random Gaussian blur, as in SimCLR and MoCo v2."""

from __future__ import annotations

from typing import ClassVar

import tensorflow as tf

from keras_simsiam.augment.operation import Operation
from keras_simsiam.augment.planes import compiled


class Blur(Operation):
    """Blurs some of the images, each with a random standard deviation.

    Parameters:
        sigma: float32 ``[B]``, standard deviation in pixels of the view; 0 changes nothing.
    """

    name = "blur"
    probability = "blur_probability"
    numbers: ClassVar = {"blur": 1, "sigma": 1}

    def draw(self, augmentation, numbers, height, width):
        """Draws which images are blurred, and how strongly."""
        low, high = augmentation.blur_sigma
        blur = numbers["blur"][:, 0] < augmentation.blur_probability
        return {"sigma": tf.where(blur, low + (high - low) * numbers["sigma"][:, 0], 0.0)}

    def apply(self, augmentation, planes, parameters, size):
        """Blurs the images."""
        return gaussian_blur(planes, parameters["sigma"], augmentation.blur_sigma[1])


@compiled
def gaussian_blur(planes: tf.Tensor, sigma: tf.Tensor, max_sigma: float) -> tf.Tensor:
    """Blurs each image, extending it by copies of its border as Pillow does.

    Args:
        planes: float32 ``[B, C, H, W]``.
        sigma: float32 ``[B]``, standard deviation in pixels; 0 changes nothing.
        max_sigma: The largest sigma that can occur; the kernel is cut off at three times that.

    Returns:
        float32 ``[B, C, H, W]``.
    """
    radius = max(1, int(3.0 * max_sigma + 0.5))
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
    # The minimum gives the identity for a sigma of 0, without a division by zero.
    kernel = tf.exp(-0.5 * tf.square(offsets / tf.maximum(sigma, 1e-3)[:, None]))
    kernel /= tf.reduce_sum(kernel, axis=1, keepdims=True)
    weights = tf.unstack(kernel[:, :, None, None, None], axis=1)
    height, width = planes.shape[2:]
    above, below = (tf.repeat(planes[:, :, i : i + 1], radius, 2) for i in (0, height - 1))
    padded = tf.concat([above, planes, below], axis=2)
    planes = sum(w * padded[:, :, i : i + height] for i, w in enumerate(weights))
    left, right = (tf.repeat(planes[..., i : i + 1], radius, 3) for i in (0, width - 1))
    padded = tf.concat([left, planes, right], axis=3)
    return sum(w * padded[..., i : i + width] for i, w in enumerate(weights))
