"""What was found in a folder's files, kept in a cache so that only changed files are read again.

It is kept in `keras_simsiam.files.cache_folder`, a file for each folder of images. Nothing is lost
with it but time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_simsiam.data.paths import Paths
from keras_simsiam.errors import CannotWrite, InputError
from keras_simsiam.files import cache_folder, claimed, written_atomically

LEAST_FILES = 2000
"""Of fewer files nothing is kept: they are read in a second."""

_STAMPED = 4096
"""Files whose stamps are put into an array at a time."""

_FORMAT = 2
"""To be raised if files are found to be different from what they were found to be before."""

DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged index may raise."""


def stamps(files: Paths) -> np.ndarray:
    """What shows whether a file has changed: its size, and when its content and its status did.

    Returns:
        int64 ``[N, 3]``, bytes and nanoseconds; -1 for a file that has vanished.
    """
    found = np.full([len(files), 3], -1, np.int64)
    for folder, run in files.runs():
        with contextlib.suppress(OSError), _opened(folder) as opened:
            for i in range(run.start, run.stop, _STAMPED):
                names = files.names[i : min(i + _STAMPED, run.stop)]
                found[i : i + len(names)] = [_stamp(name, opened) for name in names]
    return found


def _stamp(name: str, folder: int) -> tuple[int, int, int]:
    try:
        status = os.stat(name, dir_fd=folder)
    except OSError:
        return -1, -1, -1
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def recall(root: str, files: Paths, now: np.ndarray, channels: int, columns: int) -> np.ndarray:
    """What is known of files that have not changed since.

    Args:
        root: The folder that all files are in.
        files: The files.
        now: Their `stamps`.
        channels: Channels that they are read with.
        columns: How many numbers are known of a file.

    Returns:
        int32 ``[N, columns]``; -1 for files of which nothing is known.
    """
    known = np.full([len(files), columns], -1, np.int32)
    try:
        with np.load(place(root), allow_pickle=False) as kept:
            if not np.array_equal(kept["about"], about(root, channels)):
                return known
            old, values = kept["stamps"], kept["values"]
            runs = _parts(kept["folders"]), np.cumsum([0, *kept["counts"]]), kept["names"].tobytes()
    except DAMAGED:
        return known
    if len(old) != len(values) or values.shape[1:] != (columns,) or old.shape[1:] != (3,):
        return known
    row = _rows(root, files, *runs)
    at = np.flatnonzero((row >= 0) & (row < len(old)))
    same = at[(old[row[at]] == now[at]).all(axis=1) & (now[at, 0] >= 0)]
    known[same] = values[row[same]]
    return known


def keep(root: str, files: Paths, now: np.ndarray, channels: int, values: np.ndarray) -> None:
    """Keeps what is known of files, in place of what was known of files in the folder before.

    Where that is not possible, as on a full or read-only disk, nothing happens.

    Args:
        root: The folder that all files are in.
        files: The files.
        now: Their `stamps` before they were read.
        channels: Channels that they were read with.
        values: What is known of them, int32 ``[N, columns]``; -1 for nothing.
    """
    if len(files) < LEAST_FILES:
        return
    runs = [*_named(root, files)]
    write(
        root,
        channels,
        folders=np.frombuffer(b"\0".join(folder for folder, _, _ in runs), np.uint8),
        counts=np.array([run.stop - run.start for _, run, _ in runs], np.int64),
        names=np.frombuffer(b"/".join(names for _, _, names in runs), np.uint8),
        stamps=now,
        values=values,
    )


def write(of: str, channels: int = 3, **arrays: Any) -> None:
    """Keeps arrays for a file or folder; nothing happens where that is not possible."""
    path = place(of)
    with (
        contextlib.suppress(InputError, CannotWrite, OSError),
        claimed(path, beside=True),
        written_atomically(path) as partial,
    ):
        np.savez(partial, about=about(of, channels), **arrays)


def _rows(
    root: str, files: Paths, folders: list[bytes], starts: np.ndarray, names: bytes
) -> np.ndarray:
    """Where each file is among those that are known, int64 ``[N]``; -1 if it is not."""
    known = dict(zip(folders, zip(starts.tolist(), names.split(b"/"), strict=False), strict=False))
    row = np.full(len(files), -1, np.int64)
    for folder, run, now in _named(root, files):
        start, before = known.get(folder, (0, b""))
        if before == now:
            row[run] = np.arange(start, start + run.stop - run.start)
        elif before:
            number = {name: start + i for i, name in enumerate(before.split(b"\0"))}
            row[run] = [number.get(name, -1) for name in now.split(b"\0")]
    return row


def _named(root: str, files: Paths) -> Iterator[tuple[bytes, slice, bytes]]:
    """A key of each run of files in a folder, where it is, and the names of its files.

    No name has a slash or a zero byte.
    """
    often: dict[str, int] = {}
    for folder, run in files.runs():
        if run.stop > run.start:
            often[folder] = often.get(folder, -1) + 1
            key = f"{os.path.relpath(folder, root)}/{often[folder]}"
            yield os.fsencode(key), run, os.fsencode("\0".join(files.names[run]))


def _parts(joined: np.ndarray) -> list[bytes]:
    return joined.tobytes().split(b"\0")


def about(of: str, channels: int = 3) -> np.ndarray:
    """What arrays hold for: this file or folder, these channels and decoders; uint8 ``[n]``."""
    text = f"{_FORMAT} {tf.__version__} {channels} ".encode() + os.fsencode(os.path.realpath(of))
    return np.frombuffer(text, np.uint8)


def place(of: str) -> pathlib.Path:
    """The file that keeps the arrays of a file or folder."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(of))).hexdigest()[:32]
    return cache_folder() / f"{name}.npz"


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[int]:
    """A folder, in which names are found without looking for the folder each time."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        yield opened
    finally:
        os.close(opened)
