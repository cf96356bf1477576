"""Where the records of many files are, and their labels, found once and kept in a cache.

Each file's part is in a file of its own beside those of `keras_simsiam.data.index`: what is found
of a file is kept when it is complete, and thrown away when name, size or time of the file change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_simsiam.data import index
from keras_simsiam.data.paths import Paths
from keras_simsiam.data.progress import Progress
from keras_simsiam.data.reading import LEFT_OUT, Unreadable, readable
from keras_simsiam.data.shards import Shards, starts

_TOGETHER = 256
_NUMBERS = {"label": -1, "height": 0, "width": 0}
"""The numbers that are found in records, and what they are where a record has none."""

_NAME = "file_name"


class _Part(NamedTuple):
    """What was found in a file: where its records are, their numbers, and their joined names."""

    at: np.ndarray
    numbers: np.ndarray
    names: bytes


@dataclass(frozen=True, eq=False)
class Found:
    """What was found of the records of a split.

    Attributes:
        shards: Those that can be read.
        numbers: Of each the label, height and width, int32 ``[N, 3]``.
        unreadable: Counts the others.
        joined_names: The names of the images, each followed by a zero byte.
    """

    shards: Shards
    numbers: np.ndarray
    unreadable: Unreadable
    joined_names: bytes = field(repr=False)

    @property
    def names(self) -> list[str]:
        """The names of the images, "" for those without."""
        return self.joined_names.decode("utf-8", "surrogateescape").split("\0")[:-1]


def find(
    files: Sequence[str], counts: Sequence[int], is_array: bool, keys: Collection[str]
) -> Found:
    """Finds the records of a split, reading only files that are not known yet.

    Args:
        files: The files.
        counts: How many records each should have.
        is_array: Whether they are ArrayRecord files.
        keys: Which of "label", "height", "width" and "file_name" the records have. If none, only
            their lengths are read.

    Raises:
        InputError: If more than 1% of the records cannot be read.
    """
    total = sum(counts)
    stamps = index.stamps(Paths.of(files))
    sought = np.frombuffer(" ".join(["records", *sorted(keys)]).encode(), np.uint8)
    parts = {
        i: part
        for i, file in enumerate(files)
        if (part := _recall(file, stamps[i], sought)) and len(part.at) == counts[i]
    }
    unreadable = Unreadable(total)

    def keep(i: int, part: _Part) -> None:
        parts[i] = part
        if total >= index.LEAST_FILES and len(part.at) == counts[i]:
            index.write(
                files[i],
                at=part.at,
                numbers=part.numbers,
                sought=sought,
                names=np.frombuffer(part.names, np.uint8),
                stamps=stamps[i],
            )

    todo = [i for i in range(len(files)) if i not in parts]
    places = [_places(i, files[i], counts[i], is_array, unreadable) for i in todo]
    if todo:
        unread = Shards(files, np.concatenate(places), is_array)
        _read(unread, todo, keys, unreadable, keep)
    every = [(i, parts[i]) for i in range(len(files))]
    where = [np.stack([np.full_like(part.at, i), part.at], axis=1) for i, part in every]
    return Found(
        Shards(files, np.concatenate(where), is_array),
        np.concatenate([part.numbers for _, part in every]),
        unreadable,
        b"".join(part.names for _, part in every),
    )


def _places(i: int, file: str, count: int, is_array: bool, unreadable: Unreadable) -> np.ndarray:
    """The places of the records of a file, int64 ``[n, 2]``; those that are lost are reported."""
    at, why = (np.arange(count), "") if is_array else starts(file, count)
    lost = range(len(at), count)
    unreadable.add({f"{file}, record {n:,}": why.__str__ for n in lost}, LEFT_OUT)
    return np.stack([np.full_like(at, i), at], axis=1)


def _read(
    unread: Shards,
    files: Sequence[int],
    keys: Collection[str],
    unreadable: Unreadable,
    keep: Callable[[int, _Part], None],
) -> None:
    """Reads records, which are those of some files in order, and hands over each file's part."""
    numbers = np.empty([len(unread), len(_NUMBERS)], np.int32)
    numbers[:] = [*_NUMBERS.values()]
    names, is_read = [b""] * len(unread), np.full(len(unread), not keys)
    ends = np.searchsorted(unread.places[:, 0], files, side="right").tolist()
    starts_at, done = dict(zip(files, [0, *ends], strict=False)), 0

    def hand_over(until: int) -> None:
        nonlocal done
        while done < len(files) and ends[done] <= until:
            rows = np.arange(starts_at[files[done]], ends[done])
            rows = rows[is_read[rows]]
            joined = b"".join(names[i] + b"\0" for i in rows.tolist())
            keep(files[done], _Part(unread.places[rows, 1], numbers[rows], joined))
            done += 1

    if keys:
        say = Progress("checked", len(unread))
        parse = _parser(unread, keys)
        for rows, (found, named) in readable(unread, unread.places, parse, unreadable, _TOGETHER):
            numbers[rows], is_read[rows] = found, True
            for row, name in zip(rows.tolist(), named.tolist(), strict=True):
                names[row] = name
            last = int(rows[-1]) + 1
            say(last)
            hand_over(last)
    hand_over(len(unread))


def _parser(shards: Shards, keys: Collection[str]) -> Callable:
    """A function from a place to the numbers and the name in its record."""
    wanted: dict = {
        key: tf.io.FixedLenFeature([], tf.int64, default)
        for key, default in _NUMBERS.items()
        if key in keys
    }
    if _NAME in keys:
        wanted[_NAME] = tf.io.FixedLenFeature([], tf.string, "")

    def parse(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.io.parse_single_example(shards.record(place), wanted)
        numbers = [found.get(key, tf.constant(n, tf.int64)) for key, n in _NUMBERS.items()]
        return tf.cast(tf.stack(numbers), tf.int32), found.get(_NAME, tf.constant(""))

    return parse


def _recall(file: str, stamp: np.ndarray, sought: np.ndarray) -> _Part | None:
    """What is known of a file that has not changed since; None for nothing."""
    try:
        with np.load(index.place(file), allow_pickle=False) as kept:
            expected = {"about": index.about(file), "stamps": stamp, "sought": sought}
            if not all(np.array_equal(kept[key], value) for key, value in expected.items()):
                return None
            part = _Part(kept["at"], kept["numbers"], kept["names"].tobytes())
    except index.DAMAGED:
        return None
    n = len(part.at)
    fits = part.numbers.shape == (n, len(_NUMBERS)) and part.names.count(b"\0") == n
    return part if fits else None
