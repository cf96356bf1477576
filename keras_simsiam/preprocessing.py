"""What turns whole images into a network's input. It belongs to an encoder as its weights do."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import tensorflow as tf

from keras_simsiam.arrays import check_images
from keras_simsiam.config import IMAGENET_MEAN, IMAGENET_STD, Augmentation
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Settings, setting


@dataclass(frozen=True)
class Preprocessing(Settings):
    """Resizes, crops and normalizes whole images, as evaluation and the exported encoder do.

    Calling it turns uint8 images ``[B, H, W, 3]`` of any size into float32
    ``[B, image_size, image_size, 3]``: the short side is resized to `image_size`, the center is
    cropped, and each channel is normalized.

    Raises:
        InputError: If a value is invalid, or when it is called on anything else.
    """

    image_size: int = setting(at_least=1, at_most=2**14)
    """Side in pixels at which the network was trained."""
    mean: tuple[float, float, float] = setting(IMAGENET_MEAN, at_least=0, at_most=1)
    """Mean of each channel, in [0, 1]."""
    std: tuple[float, float, float] = setting(IMAGENET_STD, above=0, at_most=1)
    """Standard deviation of each channel, of values in [0, 1]."""

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Normalized float32 ``[B, image_size, image_size, 3]`` of uint8 ``[B, H, W, 3]``."""
        check_images(images)
        pixels = resize_square(tf.cast(images, tf.float32), self.image_size)
        return (pixels / 255.0 - self.mean) / self.std

    @classmethod
    def of_views(cls, augmentations: Sequence[Augmentation], image_size: int) -> Self:
        """That of views, which must agree in mean and std.

        Raises:
            InputError: If they do not.
        """
        normalizations = {(a.mean, a.std) for a in augmentations}
        if len(normalizations) > 1:
            raise InputError(
                "augmentation must have the same mean and std for all views; "
                f"got {' and '.join(map(str, sorted(normalizations)))}"
            )
        return cls(image_size, *normalizations.pop())

    def get_config(self) -> dict:
        """The arguments that make this again."""
        return dataclasses.asdict(self)


def remember(dataset: tf.data.Dataset, preprocessing: Preprocessing) -> tf.data.Dataset:
    """The dataset of views, which knows from now on how they were resized and normalized."""
    vars(dataset)["_keras_simsiam_preprocessing"] = preprocessing
    return dataset


def remembered(dataset: Any) -> Preprocessing | None:
    """What `remember` was told of a dataset, or of one that it was made from, as by ``take``."""
    if not isinstance(dataset, tf.data.Dataset):
        return None
    found = vars(dataset).get("_keras_simsiam_preprocessing")
    sources = map(remembered, dataset._inputs())
    return found or next((source for source in sources if source is not None), None)


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
