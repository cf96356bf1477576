"""How whole images become a network's input; it belongs to an encoder as its weights do."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import tensorflow as tf

from keras_simsiam.arrays import check_images
from keras_simsiam.augmentation import IMAGENET_MEAN, IMAGENET_STD, Augmentation
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
        pixels = _resize_square_portably(tf.cast(images, tf.float32), self.image_size)
        return (pixels / 255.0 - self.mean) / self.std

    @classmethod
    def of_views(cls, augmentations: Sequence[Augmentation], image_size: int) -> Self:
        """The preprocessing that corresponds to views.

        Args:
            augmentations: Those of the views, which must all have the same mean and std.
            image_size: Side of the views in pixels.

        Raises:
            InputError: If the means or stds differ.
        """
        normalizations = {(a.mean, a.std) for a in augmentations}
        if len(normalizations) > 1:
            raise InputError(
                "augmentation must have the same mean and std for all views; "
                f"got {' and '.join(map(str, sorted(normalizations)))}"
            )
        return cls(image_size, *normalizations.pop())

    def get_config(self) -> dict:
        """The arguments of the constructor, for Keras."""
        return dataclasses.asdict(self)


def remember(dataset: tf.data.Dataset, preprocessing: Preprocessing) -> tf.data.Dataset:
    """Marks a dataset of views with how they were resized and normalized, and returns it."""
    vars(dataset)["_keras_simsiam_preprocessing"] = preprocessing
    return dataset


def remembered(dataset: Any) -> Preprocessing | None:
    """The preprocessing with which `remember` marked a dataset, or one that it is derived from."""
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
    images = shorter_side(images, size)
    height, width = tf.unstack(tf.shape(images)[-3:-1])
    top, left = (height - size) // 2, (width - size) // 2
    images = images[..., top : top + size, left : left + size, :]
    return tf.ensure_shape(images, [*images.shape[:-3], size, size, 3])


def shorter_side(images: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes the short side to `size`, antialiased bilinear.

    Args:
        images: See `resize_square`.
        size: The short side of the result in pixels.

    Returns:
        float32 ``[..., h, w, 3]``.
    """
    return tf.image.resize(images, _target(tf.shape(images)[-3:-1], size), antialias=True)


def _resize_square_portably(images: tf.Tensor, size: int) -> tf.Tensor:
    """`resize_square` of a batch by operations that XLA and TensorFlow Lite support.

    They do not support `tf.image.resize`, which is up to twice as fast. Here each axis is resized
    by a matrix product.

    Args:
        images: float32 ``[B, H, W, 3]``.
        size: Side of the result in pixels.

    Returns:
        float32 ``[B, size, size, 3]``.
    """
    shape = tf.shape(images)
    batch, height, width = shape[0], shape[1], shape[2]
    target = _target(shape[1:3], size)

    def resized() -> tf.Tensor:
        rows = _weights(height, target[0], size) @ tf.reshape(images, [batch, height, width * 3])
        # The product is fast with the columns last.
        columns = tf.transpose(tf.reshape(rows, [batch * size, width, 3]), [0, 2, 1])
        columns = tf.reshape(columns, [batch * size * 3, width])
        # With transpose_b=True, tf2onnx would lose the transposition.
        pixels = columns @ tf.transpose(_weights(width, target[1], size), [1, 0])
        pixels = tf.transpose(tf.reshape(pixels, [batch * size, 3, size]), [0, 2, 1])
        return tf.reshape(pixels, [batch, size, size, 3])

    def unchanged() -> tf.Tensor:
        # XLA compiles both branches for whatever size the images have, so this pads and crops.
        corner = images[:, :size, :size]
        missing = tf.nn.relu(size - shape[1:3])
        padded = tf.pad(corner, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
        return tf.reshape(padded, [batch, size, size, 3])

    return tf.cond((height == size) & (width == size), unchanged, resized)


def _target(sides: tf.Tensor, size: int) -> tf.Tensor:
    """Height and width, int32 ``[2]``, after resizing the shorter side to `size`."""
    scaled = tf.cast(sides * size, tf.float32) / tf.cast(tf.reduce_min(sides), tf.float32)
    return tf.cast(tf.round(scaled), tf.int32)


def _weights(side: tf.Tensor, target: tf.Tensor, size: int) -> tf.Tensor:
    """The weight of each source pixel in each of the `size` central pixels of `target` pixels.

    The weights are those of `tf.image.resize` with antialiasing: a triangle as wide as the scale,
    at least one source pixel on each side, normalized.

    Returns:
        float32 ``[size, side]``.
    """
    scale = 1.0 / (tf.cast(target, tf.float32) / tf.cast(side, tf.float32))
    center = (tf.cast((target - size) // 2 + tf.range(size), tf.float32) + 0.5) * scale
    distance = tf.abs(tf.cast(tf.range(side), tf.float32) + 0.5 - center[:, None])
    weights = tf.nn.relu(1.0 - distance / tf.maximum(scale, 1.0))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)
