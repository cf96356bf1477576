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
from keras_simsiam.data.in_files import ImageFiles
from keras_simsiam.data.paths import Paths
from keras_simsiam.data.progress import Progress
from keras_simsiam.data.reading import LEFT_OUT, readable
from keras_simsiam.errors import first_line

_HEADER, _FULL = 1, 2
"""How far a file was read, the last of the numbers that are known of it."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
_TOGETHER = 256
_THREADS = 16


def check(root: str, files: ImageFiles, how: CheckFiles) -> tuple[np.ndarray, np.ndarray]:
    """Finds the files that can be decoded. Those that have not changed since are not read again.

    Args:
        root: The folder that all files are in, whose index is kept.
        files: The files. Those that cannot be read are counted.
        how: "full" decodes as far as anything can fail in training; "header" reads the beginning.

    Returns:
        Their positions among the files, int64 ``[n]``, ascending; and height and width of each,
        int32 ``[n, 2]``.

    Raises:
        InputError: If more than 1% cannot be read.
    """
    stamps = index.stamps(files.paths)
    known = index.recall(root, files.paths, stamps, files.channels, columns=3)
    depth = _FULL if how == "full" else _HEADER
    todo = np.flatnonzero(known[:, 2] < depth)
    if len(todo):
        known[todo] = -1
        try:
            _read(files.take(todo), todo, known, depth)
        finally:  # also if it is interrupted
            if (known[todo, 2] >= 0).any():
                index.keep(root, files.paths, stamps, files.channels, known)
    kept = np.flatnonzero(known[:, 2] >= 0)
    return kept, known[kept, :2]


def header_sizes(files: Paths) -> list[tuple[int, int]]:
    """Heights and widths in the headers of those of some files that can be read."""
    return [size for size in map(_size, files) if not isinstance(size, str)]


def _read(files: ImageFiles, places: np.ndarray, known: np.ndarray, depth: int) -> None:
    """Fills in what is found in files, whose rows of `known` are `places`."""
    say = Progress("checked", len(files))
    read = _to_the_end if depth == _FULL else _headers
    for rows, found in read(files):
        known[places[rows], :2], known[places[rows], 2] = found, depth
        say(int(rows[-1]) + 1)


def _to_the_end(files: ImageFiles) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    def read(position: tf.Tensor) -> tf.Tensor:
        return examine(tf.io.read_file(files.stored.at(position)), files.pixels, files.has_arrays)

    each = tf.range(len(files), dtype=tf.int64)
    yield from readable(files.paths, each, read, files.unreadable, _TOGETHER)


def _headers(files: ImageFiles) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    causes: dict[str, Callable[[], str]] = {}
    # Threads wait for the disk. Not in tf.data, where a call of Python can hang.
    with ThreadPoolExecutor(_THREADS) as threads:
        for start in range(0, len(files), _TOGETHER):
            few, stored = (p[start : start + _TOGETHER] for p in (files.paths, files.stored))
            rows, found = [], []
            for i, (name, size) in enumerate(zip(few, threads.map(_size, stored), strict=True)):
                if isinstance(size, str):
                    causes[name] = size.__str__
                else:
                    rows.append(start + i)
                    found.append(size)
            if rows:
                yield np.array(rows), np.array(found, np.int32)
    files.unreadable.add(causes, LEFT_OUT)


def _size(path: str) -> tuple[int, int] | str:
    """Height and width in the header of a file; why they cannot be read, if so."""
    try:
        if path.lower().endswith(".npy"):
            height, width = np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
            return height, width
        with PIL.Image.open(path, formats=_FORMATS) as image:
            return image.height, image.width
    except Exception as e:  # of a damaged file, each format's reader may raise its own error
        return first_line(e)
