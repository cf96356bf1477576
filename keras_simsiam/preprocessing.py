"""How whole images become a network's input; it belongs to an encoder as its weights do."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import tensorflow as tf

from keras_simsiam.arrays import check_images
from keras_simsiam.augmentation import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    check_same_channels,
)
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Settings, setting
from keras_simsiam.pixels import Pixels


@dataclass(frozen=True)
class Preprocessing(Settings):
    """Resizes, crops and normalizes whole images, as evaluation and the exported encoder do.

    Calling it turns uint8 images ``[B, H, W, C]`` of any size into float32
    ``[B, image_size, image_size, C]``: the short side is resized to `image_size`, the center is
    cropped, and each channel is normalized.

    Raises:
        InputError: If a value is invalid, or when it is called on anything else.
    """

    image_size: int = setting(at_least=1, at_most=2**14)
    """Side in pixels at which the network was trained."""
    mean: tuple[float, ...] = setting(IMAGENET_MEAN, at_least=0, at_most=1)
    """Mean of each channel, in [0, 1]. There are as many channels as numbers."""
    std: tuple[float, ...] = setting(IMAGENET_STD, above=0, at_most=1)
    """Standard deviation of each channel, of values in [0, 1]."""
    low: tuple[float, ...] = ()
    """In files of more than 8 bits, the value of each channel that became 0; see `Pixels`."""
    high: tuple[float, ...] = ()
    """The value of each channel that became 255; none if the files had 8 bits."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_same_channels(self.mean, self.std)
        _ = self.pixels  # which checks the range

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Normalized float32 ``[B, image_size, image_size, C]`` of uint8 ``[B, H, W, C]``."""
        check_images(images, channels=self.channels)
        # In a graph, the number of channels may not be known.
        known = tf.ensure_shape(tf.cast(images, tf.float32), [None, None, None, self.channels])
        pixels = _resize_square_portably(known, self.image_size)
        return (pixels / 255.0 - self.mean) / self.std

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return len(self.mean)

    @property
    def spec(self) -> tf.TensorSpec:
        """That of a batch of images."""
        return tf.TensorSpec([None, None, None, self.channels], tf.uint8, "images")

    @property
    def pixels(self) -> Pixels:
        """How the values in files become the images, for `keras_simsiam.load`."""
        return Pixels(self.channels, self.low, self.high)

    @classmethod
    def assumed(cls, image_size: int, channels: int) -> Self:
        """ImageNet's mean and std, or for other than three channels 0.5 and 0.25.

        Args:
            image_size: Side in pixels.
            channels: Channels of the images.
        """
        if channels == 3:
            return cls(image_size)
        return cls(image_size, (0.5,) * channels, (0.25,) * channels)

    @classmethod
    def of_views(cls, augmentations: Sequence[Augmentation], image_size: int) -> Self:
        """The preprocessing that corresponds to views.

        Args:
            augmentations: Those of the views, which must all have the same mean and std.
            image_size: Side of the views in pixels.

        Raises:
            InputError: If the means or stds differ.
        """
        normalizations: set[Any] = {(a.mean, a.std) for a in augmentations}
        if len(normalizations) > 1:
            raise InputError(
                "augmentation must have the same mean and std for all views; "
                f"got {' and '.join(map(str, sorted(normalizations)))}"
            )
        return cls(image_size, *normalizations.pop())

    def get_config(self) -> dict:
        """The arguments of the constructor, for Keras."""
        return dataclasses.asdict(self)


def channels_of(preprocessing: Any, images: Any) -> int:
    """Channels that images must have: those of a `Preprocessing`, if one is given, else their own.

    Args:
        preprocessing: What a monitor was given: a `Preprocessing`, an image size or None.
        images: `Images`; of an array, three channels are asked for.
    """
    if isinstance(preprocessing, Preprocessing):
        return preprocessing.channels
    return getattr(images, "channels", 3)


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
        images: ``[..., H, W, C]``, one image or a batch, values of any range.
        size: Side of the result in pixels.

    Returns:
        float32 ``[..., size, size, C]``.
    """
    images = shorter_side(images, size)
    height, width = tf.unstack(tf.shape(images)[-3:-1])
    top, left = (height - size) // 2, (width - size) // 2
    images = images[..., top : top + size, left : left + size, :]
    return tf.ensure_shape(images, [*images.shape[:-3], size, size, images.shape[-1]])


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
        images: float32 ``[B, H, W, C]``, with a known C.
        size: Side of the result in pixels.

    Returns:
        float32 ``[B, size, size, C]``.
    """
    shape, channels = tf.shape(images), images.shape[3]
    batch, height, width = shape[0], shape[1], shape[2]
    target = _target(shape[1:3], size)

    def resized() -> tf.Tensor:
        rows = _weights(height, target[0], size) @ tf.reshape(
            images, [batch, height, width * channels]
        )
        # The product is fast with the columns last.
        columns = tf.transpose(tf.reshape(rows, [batch * size, width, channels]), [0, 2, 1])
        columns = tf.reshape(columns, [batch * size * channels, width])
        # With transpose_b=True, tf2onnx would lose the transposition.
        pixels = columns @ tf.transpose(_weights(width, target[1], size), [1, 0])
        pixels = tf.transpose(tf.reshape(pixels, [batch * size, channels, size]), [0, 2, 1])
        return tf.reshape(pixels, [batch, size, size, channels])

    def unchanged() -> tf.Tensor:
        # XLA compiles both branches for whatever size the images have, so this pads and crops.
        corner = images[:, :size, :size]
        missing = tf.nn.relu(size - shape[1:3])
        padded = tf.pad(corner, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
        return tf.reshape(padded, [batch, size, size, channels])

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
