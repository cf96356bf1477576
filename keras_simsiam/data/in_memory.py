"""Images in memory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_simsiam.arrays import check_images
from keras_simsiam.data import fingerprint
from keras_simsiam.data.images import Images, ImagesLike, square
from keras_simsiam.data.plan import Plan, shuffled
from keras_simsiam.errors import InputError

MAX_IN_MEMORY = 4 * 2**30
"""Datasets of one size are decoded into memory up to this many bytes."""

_SENDABLE = int(1.9 * 2**30)  # protobuf's limit is 2 GiB
_LARGEST_SIDE = 256  # pixels; larger images are resized, as networks are hardly trained on them


@dataclass(frozen=True, eq=False)
class ImageArray(Images):
    """Images of one size in memory.

    Attributes:
        array: uint8 ``[N, H, W, C]``.
    """

    array: np.ndarray

    def __len__(self) -> int:
        return len(self.array)

    @property
    def channels(self) -> int:
        """Those of the array."""
        return self.array.shape[3]

    def side(self, default: int = 224) -> int:
        """The shorter side of the images, if that is at most 256 pixels."""
        short = min(self.array.shape[1:3])
        return short if short <= _LARGEST_SIDE else default

    def every(self, step: int, first: int = 0) -> ImageArray:
        """A view into the same memory."""
        return ImageArray(self.array[first::step])

    def dataset(self) -> tf.data.Dataset:
        """Every image in order; TensorFlow keeps a copy of them until the process ends."""
        return tf.data.Dataset.from_tensor_slices(self.array)

    def resized(self, size: int, batch_size: int = 256) -> Iterator[tf.Tensor]:
        """Slices of the array, resized if needed."""
        # No tf.data here: the functions of a pipeline, and the images in them, are never freed.
        for start in range(0, len(self), batch_size):
            yield square(tf.constant(self.array[start : start + batch_size]), size)

    def pick(self, positions: np.ndarray, size: int) -> np.ndarray:
        """Gathers from the array."""
        return square(tf.constant(self.array[positions]), size).numpy()

    def batches(self, plan: Plan) -> tf.data.Dataset:
        """Gathers each batch from one copy of the array."""
        held = tf.constant(self.array) if plan.sent else _hold(self.array)
        count, *shape = held.shape

        def batch(step: tf.Tensor) -> tuple[tf.Tensor, dict]:
            epochs, examples = shuffled(plan.positions(step), count, plan.seed)
            images = tf.ensure_shape(tf.gather(held, examples), [plan.made, *shape])
            batch = plan.image_batch(images, plan.numbers(epochs, examples))
            return step, {**batch, "examples": examples}

        return plan.steps().map(batch, tf.data.AUTOTUNE)

    def check_sendable(self) -> None:
        """Raises InputError if the array is too large to be sent."""
        if self.array.nbytes > _SENDABLE:
            raise InputError(
                f"data_service: images in memory must be at most {_SENDABLE / 2**30:.1f} GiB, "
                f"because they are sent to its workers; got {self.array.nbytes / 2**30:.1f} GiB. "
                "Extract them to files and use --dataset folder:PATH"
            )

    def fingerprint(self) -> str:
        """Of the pixels."""
        return fingerprint.of_array(self.array)


def as_images(images: ImagesLike, name: str = "images", channels: int | None = 3) -> Images:
    """An array of images, or `Images`, as `Images`.

    Args:
        images: uint8 ``[N, H, W, C]``, or `Images`, which are returned as they are.
        name: Their name in messages.
        channels: C; None for any number.

    Raises:
        InputError: If they are anything else.
    """
    if isinstance(images, Images):
        if channels not in (None, images.channels):
            raise InputError(
                f"{name} must have {channels} channels, as the network takes; they have "
                f"{images.channels}"
            )
        return images
    check_images(images, name, channels)
    return ImageArray(np.asarray(images))


def _hold(images: np.ndarray) -> tf.Variable:
    """A copy of the images for the operations of a pipeline to read.

    A constant would take twice the memory of the images, and three times while tf.data optimizes
    the pipeline. tf.numpy_function would need no copy, but with it a process once hung while an
    iterator was freed, apparently because the two waited for each other.
    """

    def copy() -> tf.Variable:
        with tf.device("CPU:0"):
            return tf.Variable(images, trainable=False)

    # A new thread is in no strategy's scope; a strategy would make a variable for each device.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy).result()
