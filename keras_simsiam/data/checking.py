"""Checks the files of a folder before a training: which can be decoded, and their sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL.Image
import tensorflow as tf

from keras_simsiam.config import CheckFiles
from keras_simsiam.data import index
from keras_simsiam.data.decoding import examine
from keras_simsiam.data.paths import Paths
from keras_simsiam.data.reading import LEFT_OUT, Unreadable, progress, readable
from keras_simsiam.errors import first_line

_HEADER, _FULL = 1, 2
"""How far a file was read, the last of the numbers that are known of it."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
_TOGETHER = 256
_THREADS = 16


def check(
    root: str, files: Paths, how: CheckFiles, unreadable: Unreadable
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the files that can be decoded. Those that have not changed since are not read again.

    Args:
        root: The folder that all files are in, whose index is kept.
        files: The files.
        how: "full" decodes as far as anything can fail in training; "header" reads the beginning.
        unreadable: Counts the files that cannot be read.

    Returns:
        Their positions among the files, int64 ``[n]``, ascending; and of each height, width, and
        how many of 256 levels it uses if it has 16 bits (else 0), int32 ``[n, 3]``.

    Raises:
        InputError: If more than 1% cannot be read.
    """
    stamps = index.stamps(files)
    known = index.recall(root, files, stamps, columns=4)
    depth = _FULL if how == "full" else _HEADER
    todo = np.flatnonzero(known[:, 3] < depth)
    if len(todo):
        known[todo] = -1
        try:
            _read(files.take(todo), todo, known, depth, unreadable)
        finally:  # also if it is interrupted
            if (known[todo, 3] >= 0).any():
                index.keep(root, files, stamps, known)
    kept = np.flatnonzero(known[:, 3] >= 0)
    return kept, known[kept, :3]


def header_sizes(files: Paths) -> list[tuple[int, int]]:
    """Heights and widths in the headers of those of some files that can be read."""
    return [size for size in map(_size, files) if not isinstance(size, str)]


def _read(
    files: Paths, places: np.ndarray, known: np.ndarray, depth: int, unreadable: Unreadable
) -> None:
    """Fills in what is found in files, whose rows of `known` are `places`."""
    say = progress(len(files))
    read = _to_the_end if depth == _FULL else _headers
    for rows, found in read(files, unreadable):
        known[places[rows], :3], known[places[rows], 3] = found, depth
        say(int(rows[-1]) + 1)


def _to_the_end(files: Paths, unreadable: Unreadable) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    def read(position: tf.Tensor) -> tf.Tensor:
        return examine(tf.io.read_file(files.at(position)))

    yield from readable(files, tf.range(len(files), dtype=tf.int64), read, unreadable, _TOGETHER)


def _headers(files: Paths, unreadable: Unreadable) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    causes: dict[str, Callable[[], str]] = {}
    # Threads wait for the disk. Not in tf.data, where a call of Python can hang.
    with ThreadPoolExecutor(_THREADS) as threads:
        for start in range(0, len(files), _TOGETHER):
            few = files[start : start + _TOGETHER]
            rows, found = [], []
            for i, (name, size) in enumerate(zip(few, threads.map(_size, few), strict=True)):
                if isinstance(size, str):
                    causes[name] = size.__str__
                else:
                    rows.append(start + i)
                    found.append((*size, 0))
            if rows:
                yield np.array(rows), np.array(found, np.int32)
    unreadable.add(causes, LEFT_OUT)


def _size(path: str) -> tuple[int, int] | str:
    """Height and width in the header of a file; why they cannot be read, if so."""
    try:
        with PIL.Image.open(path, formats=_FORMATS) as image:
            return image.height, image.width
    except Exception as e:  # of a damaged file, each format's reader may raise its own error
        return first_line(e)
