"""Random grayscale, torchvision's RandomGrayscale."""

from __future__ import annotations

from typing import ClassVar

import tensorflow as tf

from keras_simsiam.augment.operation import Operation
from keras_simsiam.augment.planes import compiled, luma


class Grayscale(Operation):
    """Makes some of the images gray.

    Parameters:
        where: bool ``[B]``, whether the image becomes gray.
    """

    name = "grayscale"
    probability = "grayscale_probability"
    numbers: ClassVar = {"grayscale": 1}

    def draw(self, augmentation, numbers, height, width):
        """Draws which images become gray."""
        return {"where": numbers["grayscale"][:, 0] < augmentation.grayscale_probability}

    def apply(self, augmentation, planes, parameters, size):
        """Makes the images gray."""
        return grayscale(planes, parameters["where"])


@compiled
def grayscale(planes: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    """Sets all three channels to the gray value of the pixel, for some of the images.

    Args:
        planes: float32 ``[B, 3, H, W]``.
        where: bool ``[B]``, which images become gray.

    Returns:
        float32 ``[B, 3, H, W]``.
    """
    gray = luma(tf.unstack(planes, axis=1))[:, None]
    return tf.where(where[:, None, None, None], gray, planes)
