"""Random vertical flip, torchvision's RandomVerticalFlip."""

from __future__ import annotations

from typing import ClassVar

import tensorflow as tf

from keras_simsiam.augment.operation import Operation
from keras_simsiam.augment.planes import compiled


class VerticalFlip(Operation):
    """Turns some of the images upside down.

    Parameters:
        flip: bool ``[B]``, whether to mirror top to bottom.
    """

    name = "vertical_flip"
    probability = "vertical_flip_probability"
    numbers: ClassVar = {"flip": 1}

    def draw(self, augmentation, numbers, height, width):
        """Draws which images are flipped."""
        return {"flip": numbers["flip"][:, 0] < augmentation.vertical_flip_probability}

    def apply(self, augmentation, planes, parameters, size):
        """Flips the images."""
        return flip_vertically(planes, parameters["flip"])


@compiled
def flip_vertically(planes: tf.Tensor, flip: tf.Tensor) -> tf.Tensor:
    """Mirrors images ``[B, C, H, W]`` top to bottom where bool ``[B]`` is true."""
    return tf.where(flip[:, None, None, None], planes[:, :, ::-1], planes)
