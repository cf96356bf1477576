"""Random solarization, torchvision's RandomSolarize, as in BYOL's second view."""

from __future__ import annotations

from typing import ClassVar

import tensorflow as tf

from keras_simsiam.augment.operation import Operation
from keras_simsiam.augment.planes import compiled


class Solarize(Operation):
    """Inverts the bright pixels of some of the images (BYOL, Appendix B).

    Parameters:
        where: bool ``[B]``, whether the image is solarized.
    """

    name = "solarize"
    probability = "solarize_probability"
    numbers: ClassVar = {"solarize": 1}

    def draw(self, augmentation, numbers, height, width):
        """Draws which images are solarized."""
        return {"where": numbers["solarize"][:, 0] < augmentation.solarize_probability}

    def apply(self, augmentation, planes, parameters, size):
        """Solarizes the images."""
        return solarize(planes, parameters["where"], augmentation.solarize_threshold)


@compiled
def solarize(planes: tf.Tensor, where: tf.Tensor, threshold: float) -> tf.Tensor:
    """Inverts values of at least a threshold, for some of the images.

    Args:
        planes: float32 ``[B, C, H, W]`` in [0, 1].
        where: bool ``[B]``, which images are solarized.
        threshold: The smallest value that is inverted.

    Returns:
        float32 ``[B, C, H, W]`` in [0, 1].
    """
    return tf.where(where[:, None, None, None] & (planes >= threshold), 1.0 - planes, planes)
