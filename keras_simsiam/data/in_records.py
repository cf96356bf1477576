"""Images in record files, which can only be read in the stored order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_simsiam.data import fingerprint
from keras_simsiam.data.images import Images, square
from keras_simsiam.data.plan import Plan
from keras_simsiam.errors import InputError

SHUFFLE_BUFFER = 10_000


@dataclass(frozen=True)
class ImageStream(Images):
    """Images in TFRecord files.

    Attributes:
        files: The files.
        count: Number of images.
        decode: A function from a record to its image, uint8 ``[H, W, 3]``.
        step: Only every `step`-th record is read.
    """

    files: list[str]
    count: int
    decode: Callable[[tf.Tensor], tf.Tensor]
    step: int = 1

    def __len__(self) -> int:
        return self.count

    def every(self, step: int) -> ImageStream:
        """Every `step`-th image; they can be read in order, but not shuffled."""
        return dataclasses.replace(self, count=-(-self.count // step), step=step)

    def dataset(self) -> tf.data.Dataset:
        """Every image in the stored order."""
        records = tf.data.TFRecordDataset(self.files).shard(self.step, 0)
        return records.map(self.decode, tf.data.AUTOTUNE)

    def pick(self, positions: np.ndarray, size: int) -> np.ndarray:
        """Reads all records up to the last one that is wanted."""
        wanted = set(positions.tolist())
        numbered = enumerate(self.dataset().take(max(wanted) + 1))
        squares = {i: square(image, size) for i, image in numbered if i in wanted}
        return np.stack([squares[i] for i in positions.tolist()])

    def batches(self, plan: Plan) -> tf.data.Dataset:
        """Batches in an order that is shuffled by files and a buffer, epoch by epoch.

        A run that starts within an epoch reads and discards what precedes in that epoch.
        """
        first_epoch = plan.start_step * plan.batch_size // len(self)

        def cropped(epoch: tf.Tensor, example: tf.Tensor, record: tf.Tensor) -> tuple:
            numbers, drawn = plan.by_example(plan.numbers(epoch[None], example[None]))
            return plan.crop(self.decode(record), drawn[0]), numbers[0]

        def of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
            numbered = self.shuffled(plan.seed, epoch).enumerate(epoch * len(self))
            here = numbered.filter(lambda position, _: plan.contains(position))
            return here.map(lambda _, record: cropped(epoch, *record), tf.data.AUTOTUNE)

        all_crops = tf.data.Dataset.counter(first_epoch).flat_map(of_epoch)
        batches = all_crops.batch(plan.made, drop_remainder=True).enumerate()
        return batches.map(
            lambda i, batch: (plan.start_step + i * plan.together, plan.crop_batch(*batch))
        )

    def shuffled(self, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        """``(example, record)`` of one epoch: shuffled files, then each 10,000 records shuffled.

        The example is an int64 that identifies the file and the place in it, so that its views do
        not depend on the order.
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

        # Records are shuffled and not images, because decoded images would fill the memory; and
        # not by Dataset.shuffle, because its order also depends on TensorFlow's global seed.
        return (
            tf.data.Dataset.from_tensor_slices(order)
            .flat_map(records)
            .batch(SHUFFLE_BUFFER)
            .enumerate()
            .map(shuffle)
            .unbatch()
        )

    def check_sendable(self) -> None:
        """Always raises InputError."""
        raise InputError(
            "data_service: images must be in memory or in image files, because record files are "
            "read in their stored order. Extract them to files and use --dataset folder:PATH"
        )

    def check_numbered(self) -> None:
        """Always raises InputError."""
        raise InputError(
            "images must be in memory or in image files for the target images:M, because record "
            "files do not number theirs. Extract them to files and use --dataset folder:PATH"
        )

    def fingerprint(self) -> str:
        """Of the record files' names and sizes."""
        return fingerprint.of_files(self.files)
