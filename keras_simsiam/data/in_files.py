"""Images in files, of many sizes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from keras_simsiam.data import fingerprint
from keras_simsiam.data.decoding import decode
from keras_simsiam.data.images import Images, square
from keras_simsiam.data.paths import Paths
from keras_simsiam.data.plan import Plan, shuffled
from keras_simsiam.data.reading import Unreadable, batched, cause
from keras_simsiam.errors import CannotRead
from keras_simsiam.pixels import Pixels


@dataclass(frozen=True)
class ImageFiles(Images):
    """Image files of many sizes, each decoded when it is needed.

    A file that can no longer be read is named in a warning, and another image takes its place.

    Attributes:
        paths: The files, which were all readable when they were found; given as any sequence.
        unreadable: Counts those that no longer are, and the files that were left out before.
        pixels: How their values become uint8.
        stored: Where TensorFlow reads them, see `keras_simsiam.data.copies`; given as any
            sequence, by default `paths`.
    """

    paths: Paths
    unreadable: Unreadable = field(default=None, compare=False)  # type: ignore[assignment]
    pixels: Pixels = field(default_factory=Pixels)
    stored: Paths = field(default=None, compare=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", Paths.of(self.paths))
        object.__setattr__(self, "stored", self.paths if self.stored is None else self.stored)
        if self.unreadable is None:
            object.__setattr__(self, "unreadable", Unreadable(len(self.paths)))

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def channels(self) -> int:
        """Those of `pixels`."""
        return self.pixels.channels

    @functools.cached_property
    def has_arrays(self) -> bool:
        """Whether there are .npy files in `stored`, as copies of TIFF files are."""
        return any(name.endswith(".npy") for name in self.stored.names)

    def decode(self, position: tf.Tensor | int) -> tf.Tensor:
        """The image in the file at a position, uint8 ``[H, W, C]``."""
        return self.decode_file(self.stored.at(position))

    def decode_file(self, path: tf.Tensor) -> tf.Tensor:
        """The image in a file of `stored`, uint8 ``[H, W, C]``."""
        return decode(tf.io.read_file(path), self.pixels, self.has_arrays)

    def every(self, step: int) -> ImageFiles:
        """The files at those positions; unreadable ones count as those of all files."""
        return dataclasses.replace(self, paths=self.paths[::step], stored=self.stored[::step])

    def take(self, positions: np.ndarray | range) -> ImageFiles:
        """The files at ascending positions; unreadable ones count as those of all files."""
        paths, stored = (p.take(positions) for p in (self.paths, self.stored))
        return dataclasses.replace(self, paths=paths, stored=stored)

    def why(self, position: int) -> str:
        """Why a file cannot be read."""
        return cause(self.decode, tf.constant(position, tf.int64))

    def dataset(self) -> tf.data.Dataset:
        """Every image in order; iterating raises TensorFlow's error if one cannot be read."""
        return tf.data.Dataset.range(len(self)).map(self.decode, tf.data.AUTOTUNE)

    def pick(self, positions: np.ndarray, size: int) -> np.ndarray:
        """Decodes each file once; an image that cannot be read is black."""
        squares = {}
        for i in set(positions.tolist()):
            try:
                squares[i] = square(self.decode(i), size)
            except tf.errors.OpError:
                self._report(np.array([i]))
                squares[i] = np.zeros([size, size, self.channels], np.uint8)
        return np.stack([squares[i] for i in positions.tolist()])

    def resized(self, size: int, batch_size: int = 256) -> Iterator[tf.Tensor]:
        """Batches of every image once, in order; the next takes the place of an unreadable one."""

        def make() -> tf.data.Dataset:
            found = tf.data.Dataset.range(len(self)).map(
                lambda i: (i, square(self.decode(i), size)), tf.data.AUTOTUNE
            )
            return batched(found.ignore_errors(), batch_size, last=True).prefetch(2)

        done, images = 0, tf.zeros([1, size, size, self.channels], tf.uint8)
        for numbers, images in self.made_once((size, batch_size), make):
            places = done + np.arange(len(numbers))
            self._report(places[numbers.numpy() != places])
            done += len(numbers)
            yield images
        if done < len(self):
            self._report(np.arange(done, len(self)))
            yield tf.repeat(images[-1:], len(self) - done, axis=0)

    def batches(self, plan: Plan) -> tf.data.Dataset:
        """Decodes and crops each image, then batches the crops.

        The batches also have "unread", int64 ``[B]``: at the place of an example that cannot be
        read, where the next one is instead, that example; -1 elsewhere.
        """
        places = tf.range(plan.made, dtype=tf.int64)

        def drawn(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return shuffled(plan.positions(step), len(self), plan.seed)

        def examples(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
            epochs, examples = drawn(step)
            random = plan.by_example(plan.numbers(epochs, examples))
            first = (step - plan.start_step) // plan.together * plan.made
            return first + places, examples, self.stored.at(examples), *random

        def cropped(number, example, path, random, drawn) -> tuple[tf.Tensor, tuple]:
            return number, (example, plan.crop(self.decode_file(path), drawn), random)

        def joined(numbers: tf.Tensor, batch: tuple) -> tuple:
            group = numbers[0] // plan.made
            step = plan.start_step + group * plan.together
            as_drawn = numbers == group * plan.made + places
            unread = tf.where(as_drawn, tf.constant(-1, tf.int64), drawn(step)[1])
            examples, *crops = batch
            return step, {**plan.crop_batch(*crops), "unread": unread, "examples": examples}

        each = plan.steps().map(examples, tf.data.AUTOTUNE).unbatch()
        found = each.map(cropped, tf.data.AUTOTUNE).ignore_errors()
        return batched(found, plan.made, shared=plan.sent).map(joined)

    def checked(self, unread: tf.Tensor, batch: Any) -> Any:
        """The batch, after a warning or an error if images are unread."""

        def report() -> tf.Tensor:
            # Calling Python while an iterator is freed has hung before, but this call is rare.
            return tf.numpy_function(self._report, [unread], tf.int64)

        reported = tf.cond(tf.reduce_any(unread >= 0), report, lambda: tf.constant(0, tf.int64))
        with tf.control_dependencies([reported]):
            return tf.nest.map_structure(tf.identity, batch)

    def _report(self, unread: np.ndarray) -> np.int64:
        """Warns of examples that could not be read, naming their files, and counts them.

        Raises:
            CannotRead: If there are too many.
        """
        places = unread[unread >= 0].tolist()
        causes = {self.paths[i]: functools.partial(self.why, i) for i in places}
        self.unreadable.add(
            causes,
            "Other images take their place",
            "repair them or the disk that they are on",
            CannotRead,
        )
        return np.int64(len(places))

    def check_sendable(self) -> None:
        """Never raises: workers read the files themselves."""

    def check_numbered(self) -> None:
        """Never raises."""

    def fingerprint(self) -> str:
        """Of the files' names and sizes."""
        return fingerprint.of_files(self.paths)
