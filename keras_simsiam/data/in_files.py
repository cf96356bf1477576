"""Images in files, of many sizes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_simsiam.data import fingerprint
from keras_simsiam.data.decoding import decode
from keras_simsiam.data.images import Images, square
from keras_simsiam.data.plan import Plan, shuffled


@dataclass(frozen=True)
class ImageFiles(Images):
    """Image files of many sizes, each decoded when it is needed.

    Attributes:
        paths: The files, all of them readable.
    """

    paths: list[str]

    def __len__(self) -> int:
        return len(self.paths)

    @staticmethod
    def decode(path: tf.Tensor) -> tf.Tensor:
        """The image in a file, uint8 ``[H, W, 3]``."""
        return decode(tf.io.read_file(path))

    def every(self, step: int) -> ImageFiles:
        """A part of the files."""
        return ImageFiles(self.paths[::step])

    def dataset(self) -> tf.data.Dataset:
        """Every image in order."""
        return tf.data.Dataset.from_tensor_slices(as_tensor(self.paths)).map(
            self.decode, tf.data.AUTOTUNE
        )

    def pick(self, positions: np.ndarray, size: int) -> np.ndarray:
        """Decodes each file once."""
        paths = as_tensor(self.paths)
        squares = {i: square(self.decode(paths[i]), size) for i in set(positions.tolist())}
        return np.stack([squares[i] for i in positions.tolist()])

    def batches(self, plan: Plan) -> tf.data.Dataset:
        """Decodes and crops each image, then batches the crops."""
        paths = as_tensor(self.paths)

        def examples(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
            epochs, examples = shuffled(plan.positions(step), len(self), plan.seed)
            numbers = tf.transpose(plan.numbers(epochs, examples), [1, 0, 2])
            return tf.repeat(step, plan.made), tf.gather(paths, examples), numbers

        def cropped(step: tf.Tensor, path: tf.Tensor, numbers: tf.Tensor) -> tuple:
            return step, plan.crop(self.decode(path), numbers)

        each = plan.steps().map(examples, tf.data.AUTOTUNE).unbatch()
        batches = each.map(cropped, tf.data.AUTOTUNE).batch(plan.made, drop_remainder=True)
        return batches.map(lambda steps, batch: (steps[0], plan.crop_batch(*batch)))

    def check_sendable(self) -> None:
        """Never raises: workers read the files themselves."""

    def fingerprint(self) -> str:
        """Of the files' names and sizes."""
        return fingerprint.of_files(self.paths)


def as_tensor(paths: Sequence[str]) -> tf.Tensor:
    """Paths as a string tensor ``[N]``, also those that are not UTF-8."""
    return tf.constant([os.fsencode(path) for path in paths])
