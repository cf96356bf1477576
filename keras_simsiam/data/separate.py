"""Images that are read one by one when they are needed, from files or from records."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf

from keras_simsiam.augment import native
from keras_simsiam.data.images import Images, square
from keras_simsiam.data.plan import Plan, shuffled
from keras_simsiam.data.reading import Unreadable, batched, cause
from keras_simsiam.errors import CannotRead


class SeparateImages(Images):
    """Images of many sizes, each read and decoded when it is needed.

    One that can no longer be read is named in a warning, and another image takes its place.

    Attributes:
        unreadable: Counts those that no longer can be read, and those that were left out before.
    """

    unreadable: Unreadable

    @abc.abstractmethod
    def at(self, positions: tf.Tensor) -> tf.Tensor:
        """What `read` needs to find the images at positions ``[...]``: a tensor ``[..., ?]``."""

    @abc.abstractmethod
    def read(self, place: tf.Tensor) -> tf.Tensor:
        """The image at a place that `at` gives, uint8 ``[H, W, C]``."""

    @abc.abstractmethod
    def name(self, position: int) -> str:
        """What an image is called in messages."""

    @abc.abstractmethod
    def take(self, positions: Sequence[int] | np.ndarray) -> Self:
        """The images at positions in any order; unreadable ones count as those of all images."""

    def every(self, step: int, first: int = 0) -> Self:
        """The images at those positions; unreadable ones count as those of all images."""
        return self.take(range(first, len(self), step))

    def decoded(self, position: tf.Tensor) -> tf.Tensor:
        """The image at a position, an integer scalar, uint8 ``[H, W, C]``."""
        return self.read(self.at(position))

    def image(self, position: int) -> np.ndarray:
        """An image in its own size, uint8 ``[H, W, C]``.

        Raises:
            tf.errors.OpError: If it cannot be read.
        """
        return self.decoded(tf.constant(position, tf.int64)).numpy()

    def why(self, position: int) -> str:
        """Why an image cannot be read, in a few words."""
        return cause(self.decoded, tf.constant(position, tf.int64))

    def dataset(self) -> tf.data.Dataset:
        """Every image in order; iterating raises TensorFlow's error if one cannot be read."""
        return tf.data.Dataset.range(len(self)).map(self.decoded, tf.data.AUTOTUNE)

    def squares(self, start: int, end: int, size: int) -> tf.data.Dataset:
        """``(position, uint8 [size, size, C])`` of the images of a range that can be read."""
        each = tf.data.Dataset.range(start, end).map(
            lambda i: (i, _square(self.decoded(i), size)), tf.data.AUTOTUNE
        )
        return each.ignore_errors()

    def pick(self, positions: np.ndarray, size: int) -> np.ndarray:
        """Decodes each image once; one that cannot be read is black."""
        squares = {}
        for i in set(positions.tolist()):
            try:
                squares[i] = square(self.image(i), size)
            except tf.errors.OpError:
                self._report(np.array([i]))
                squares[i] = np.zeros([size, size, self.channels], np.uint8)
        return np.stack([squares[i] for i in positions.tolist()])

    def resized(self, size: int, batch_size: int = 256) -> Iterator[tf.Tensor]:
        """Batches of every image once, in order; the next takes the place of an unreadable one."""

        def make() -> tf.data.Dataset:
            found = self.squares(0, len(self), size)
            return batched(found, batch_size, last=True).prefetch(2)

        done, images = 0, tf.zeros([1, size, size, self.channels], tf.uint8)
        for numbers, images in self._made_once((size, batch_size), make):
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
            return first + places, examples, self.at(examples), *random

        def cropped(number, example, place, random, drawn) -> tuple[tf.Tensor, tuple]:
            return number, (example, plan.crop(self.read(place), drawn), random)

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
        """Warns of examples that could not be read, naming them, and counts them.

        Raises:
            CannotRead: If there are too many.
        """
        positions = unread[unread >= 0].tolist()
        causes: dict[str, Callable[[], str]]
        causes = {self.name(i): functools.partial(self.why, i) for i in positions}
        self.unreadable.add(
            causes,
            "Other images take their place",
            "repair them or the disk that they are on",
            CannotRead,
        )
        return np.int64(len(positions))


def _square(image: tf.Tensor, size: int) -> tf.Tensor:
    """`square` of an image ``[H, W, C]``, by the compiled operations where they are there."""
    if image.shape[-1] == 3 and native.knows([]):
        return native.square(image, size)
    return square(image, size)
