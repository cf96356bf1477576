"""Images that are not held in memory: files of many sizes, and streams."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from keras_simsiam.data.decoding import decode

SHUFFLE_BUFFER = 10_000


@dataclass
class ImageFiles:
    """Image files of many sizes, each decoded when it is needed.

    Attributes:
        paths: Every file, all of them known to be readable.
    """

    paths: list[str]

    def __len__(self) -> int:
        return len(self.paths)

    @staticmethod
    def decode(path: tf.Tensor) -> tf.Tensor:
        """The image in a file: uint8 ``[H, W, 3]``."""
        return decode(tf.io.read_file(path))

    def every(self, step: int) -> ImageFiles:
        """The first of each `step` images."""
        return ImageFiles(self.paths[::step])

    def dataset(self) -> tf.data.Dataset:
        """Every image in order."""
        return tf.data.Dataset.from_tensor_slices(self.paths).map(self.decode, tf.data.AUTOTUNE)


@dataclass
class ImageStream:
    """Images in record files, which can only be read in their own order.

    Attributes:
        files: The TFRecord files.
        count: How many images there are in all.
        decode: From a record to uint8 ``[H, W, 3]``.
        step: Only the first of each `step` records is read.
    """

    files: list[str]
    count: int
    decode: Callable[[tf.Tensor], tf.Tensor]
    step: int = 1

    def __len__(self) -> int:
        return self.count

    def dataset(self) -> tf.data.Dataset:
        """Every image in the stored order."""
        records = tf.data.TFRecordDataset(self.files).shard(self.step, 0)
        return records.map(self.decode, tf.data.AUTOTUNE)

    def every(self, step: int) -> ImageStream:
        """The first of each `step` images, in the stored order only."""
        return dataclasses.replace(self, count=-(-self.count // step), step=step)

    def shuffled(self, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        """``(example, record)`` of one epoch: its files shuffled, then each 10,000 records.

        The example is an int64 that names its file and its place there, so that its views do not
        depend on the order.
        """
        key = epoch + (seed << 32)
        files = tf.constant(self.files)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(self.files), dtype=tf.int64), tf.stack([key, 0])
        )

        def records(file: tf.Tensor) -> tf.data.Dataset:
            numbered = tf.data.TFRecordDataset(files[file]).enumerate()
            return numbered.map(lambda i, record: (file * 2**32 + i, record))

        def shuffle(window: tf.Tensor, batch: tuple) -> tuple:
            order = tf.random.experimental.stateless_shuffle(
                tf.range(tf.shape(batch[0])[0]), tf.stack([key, window + 1])
            )
            return tuple(tf.gather(part, order) for part in batch)

        # Records are shuffled, not images: decoded images would fill the memory. Not by
        # Dataset.shuffle, because its order depends on TensorFlow's global seed as well.
        return (
            tf.data.Dataset.from_tensor_slices(order)
            .flat_map(records)
            .batch(SHUFFLE_BUFFER)
            .enumerate()
            .map(shuffle)
            .unbatch()
        )
