"""The interface of images, whether they are in memory, in files or in records."""

from __future__ import annotations

import abc
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from keras_simsiam.data.plan import Plan
from keras_simsiam.preprocessing import resize_square
from keras_simsiam.workers import Workers

Made = TypeVar("Made")


class Images(abc.ABC):
    """A sequence of images, of one size or of many, wherever they are stored."""

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return 3

    @abc.abstractmethod
    def every(self, step: int, first: int = 0) -> Images:
        """The images at positions first, first + step, first + 2 step and so on."""

    @abc.abstractmethod
    def dataset(self) -> tf.data.Dataset:
        """Every image in order, uint8 ``[H, W, C]``."""

    @abc.abstractmethod
    def pick(self, positions: np.ndarray, size: int) -> np.ndarray:
        """Some of the images.

        Args:
            positions: int ``[n]``, in any order, repeated or not.
            size: Side of the result in pixels, see `keras_simsiam.preprocessing.resize_square`.

        Returns:
            uint8 ``[n, size, size, C]``.
        """

    @abc.abstractmethod
    def batches(self, plan: Plan) -> tf.data.Dataset:
        """The endless batches of a plan, from its first step on.

        Returns:
            ``(step, batch)``, where the batch is the input of `keras_simsiam.augment.make_views`
            and may also have "examples", the numbers of the images, int64 ``[B]``, and "unread",
            see `keras_simsiam.data.separate.SeparateImages.batches`.
        """

    def checked(self, unread: tf.Tensor, batch: Any) -> Any:
        """The batch, which fails if too many images could not be read.

        Args:
            unread: int64 ``[B]``, "unread" in `batches`; -1 for images that were read.
            batch: What is returned.
        """
        return batch

    @abc.abstractmethod
    def check_sendable(self) -> None:
        """Raises InputError if the workers of a tf.data service cannot read the images."""

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """A digest of the images that does not depend on where they are stored."""

    def side(self, default: int = 224) -> int:
        """The default side in pixels of views and of whole images.

        Args:
            default: The side if the images have many sizes, or are larger than 256 pixels.
        """
        return default

    def sample(self, count: int) -> Images:
        """About `count` evenly spaced images, so that all classes are represented if sorted."""
        return self.every(max(1, len(self) // count))

    @abc.abstractmethod
    def resized(self, size: int, batch_size: int = 256) -> Iterator[tf.Tensor]:
        """Batches of every image once, in order, for evaluation.

        Args:
            size: Side of the result in pixels, see `keras_simsiam.preprocessing.resize_square`.
            batch_size: Images per batch; the last may have fewer.

        Yields:
            uint8 ``[B, size, size, C]``.
        """

    def of_worker(self, workers: Workers) -> Images:
        """This process's share of the images."""
        if workers.count == 1:
            return self
        # Once, because these images keep a pipeline of their own.
        return self._made_once(workers, lambda: self.every(workers.count, workers.index))

    def _made_once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` returns, made once for each key.

        Each pipeline traces functions, which TensorFlow never frees.
        """
        made = vars(self).setdefault("_made", {})
        if key not in made:
            made[key] = make()
        return made[key]


ImagesLike = np.ndarray | Images
"""What `keras_simsiam.data.as_images` accepts: a uint8 array ``[N, H, W, C]``, or `Images`."""


def square(images: tf.Tensor, size: int) -> tf.Tensor:
    """`resize_square` of uint8 images, rounded to uint8."""
    if images.shape[-3:-1] == (size, size):
        return images
    return tf.cast(tf.round(resize_square(images, size)), tf.uint8)
