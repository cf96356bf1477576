"""Reads many image files, of which a few may be damaged."""

from __future__ import annotations

import functools
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from keras_simsiam.errors import InputError, printable

MAX_UNREADABLE = 0.01
"""The largest share of a dataset's images that may be unreadable, at the start or later."""

LEFT_OUT = "They are left out"
"""What becomes of images that cannot be read at first."""

_SHOWN = 10
_FIRST, _EVERY = 5, 10  # seconds until progress is said, and from then on
_AT_ONCE = 2**24
"""The most bytes of decoded images that are handed over at a time."""


class Unreadable:
    """Names the images of a dataset that cannot be read, once each, and limits them to 1%.

    Args:
        total: Number of images in the dataset, including unreadable ones.
    """

    def __init__(self, total: int):
        self.total = total
        self._names: set[str] = set()
        self._lock = threading.Lock()

    def add(
        self,
        causes: Mapping[str, Callable[[], str]],
        consequence: str,
        remedy: str = "repair or remove them",
        error: type[Exception] = InputError,
    ) -> None:
        """Adds images that cannot be read, and warns of those not added before.

        Args:
            causes: By name of the image, a function that returns why it cannot be read.
            consequence: The sentence of the warning that says what happens to the images.
            remedy: The clause of the error that says what to do.
            error: The error to raise if there are too many.

        Raises:
            error: If more than 1% of all images have been added.
        """
        if not causes:
            return
        with self._lock:
            new = [name for name in causes if name not in self._names]
            before = len(self._names)
            self._names.update(new)
        count, too_many = before + len(new), before + len(new) > MAX_UNREADABLE * self.total
        if not (new or too_many):
            return
        named = new or list(causes)
        listed = "; ".join(f"{name} ({causes[name]()})" for name in named[:_SHOWN])
        listed += "; …" * (len(named) > _SHOWN)
        also = ", now also" if before and new else ":"
        message = printable(f"{count:,} of {self.total:,} images cannot be read{also} {listed}")
        if too_many:
            raise error(f"{message}. At most 1% may be left out; {remedy}")
        warnings.warn(f"{message}. {consequence}", stacklevel=3)


def read_images(
    names: Sequence[str],
    items: tf.Tensor,
    read: Callable,
    side: tuple[int, int],
    unreadable: Unreadable | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes images of one size into memory, leaving out those that cannot be read.

    Args:
        names: Names of the images for messages.
        items: string ``[N]``, contents or paths of the files.
        read: A function from an item to the image, uint8 ``[H, W, 3]``.
        side: Height and width that all images must have.
        unreadable: Counts the images left out; if None, a new one.

    Returns:
        Images uint8 ``[n, H, W, 3]``, and their positions among the names, int64 ``[n]``.

    Raises:
        InputError: If more than 1% cannot be read.
    """
    images = np.empty((len(names), *side, 3), np.uint8)
    kept: list[int] = []

    def read_checked(item: tf.Tensor) -> tf.Tensor:
        image = read(item)
        tf.debugging.assert_equal(tf.shape(image)[:2], side, message=f"image size must be {side}")
        return tf.ensure_shape(image, [*side, 3])

    together = max(1, min(256, _AT_ONCE // images[:1].nbytes))
    for positions, found in readable(names, items, read_checked, unreadable, together):
        images[len(kept) : len(kept) + len(found)] = found
        kept.extend(positions)
    return images[: len(kept)], np.array(kept, np.int64)


def readable(
    names: Sequence[str],
    items: tf.Tensor,
    read: Callable,
    unreadable: Unreadable | None = None,
    together: int = 1,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields what `read` returns for items, in order, skipping items on which it fails.

    One warning at the end counts and names the skipped items.

    Args:
        names: Names of the items for messages.
        items: A tensor with one row per name.
        read: A function of one item that TensorFlow can trace.
        unreadable: Counts the skipped items; if None, a new one.
        together: How many results are handed over at a time, which takes longer than many a `read`.

    Yields:
        Positions int64 ``[n]``, and the results at these, ``[n, ...]``, with n up to `together`.

    Raises:
        InputError: At the end, if more than 1% failed.
    """
    dataset = tf.data.Dataset.from_tensor_slices(items).enumerate()
    dataset = dataset.map(lambda i, item: (i, read(item)), tf.data.AUTOTUNE).ignore_errors()
    failed = np.ones(len(names), bool)
    for positions, results in dataset.batch(together).as_numpy_iterator():
        failed[positions] = False
        yield positions, results
    causes = {
        names[i]: functools.partial(cause, read, items[i]) for i in np.flatnonzero(failed).tolist()
    }
    (unreadable or Unreadable(len(names))).add(causes, LEFT_OUT)


def progress(total: int, done_to_them: str = "checked") -> Callable[[int], None]:
    """A function that says from time to time how many images have been checked, or the like."""
    started = time.monotonic()
    due = started + _FIRST

    def say(done: int) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due and done < total:
            due = now + _EVERY
            left = (now - started) * (total - done) / done
            print(
                f"{done_to_them} {done:,} of {total:,} images, {left / 60:.1f} minutes left",
                file=sys.stderr,
                flush=True,
            )

    return say


def batched(
    found: tf.data.Dataset, size: int, last: bool = False, shared: bool = False
) -> tf.data.Dataset:
    """Batches numbered results, of which some are missing because reading failed.

    Args:
        found: ``(number, result)``, with ascending numbers from 0 on.
        size: Results per batch.
        last: Whether to keep an incomplete last batch.
        shared: Whether whole batches may be missing because other workers make them.

    Returns:
        ``(numbers, results)``, int64 ``[size]`` and ``[size, ...]``. A missing number is replaced
        by the next one that is not missing, with its result.
    """

    def fill(before: tf.Tensor, batch: tuple) -> tuple:
        numbers = batch[0]
        previous = tf.concat([before[None], numbers[:-1]], axis=0)
        times = numbers - previous
        if shared:
            times -= size * tf.maximum(numbers // size - previous // size - 1, 0)

        def repeated() -> tuple:
            rows = tf.repeat(tf.range(tf.size(numbers)), times)
            return tf.nest.map_structure(lambda part: tf.gather(part, rows), batch)

        return numbers[-1], tf.cond(tf.reduce_all(times == 1), lambda: batch, repeated)

    filled = found.batch(size).scan(tf.constant(-1, tf.int64), fill)
    return filled.rebatch(size, drop_remainder=not last)


def cause(read: Callable, item: tf.Tensor) -> str:
    """Why reading an item fails, in a few words."""
    try:
        read(item)
    except (tf.errors.OpError, ValueError) as e:
        # If the error arose in a function, its message is the line before the first named node.
        text = re.split(r"\n\s*\[\[\{\{node", str(e).strip())[0].split("\n")[-1]
        # Strip TensorFlow's "{{function_node …}}" prefix and "[Op:…]" suffix.
        text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", text)
        text = re.sub(r"^.*assertion failed: \[(.*?)\].*$", r"\1", text.strip())
        return _PLAIN.get(text, text)[:120].strip()
    return "unreadable at first, readable now"


_PLAIN = {
    "jpeg::Uncompress failed. Invalid JPEG data or crop window.": (
        "a JPEG that is damaged, cut off or too large"
    )
}
"""Messages of TensorFlow in plain words."""
