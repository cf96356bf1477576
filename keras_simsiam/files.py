"""Writing files and folders atomically: a reader sees the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator

import filelock

from keras_simsiam.errors import InputError

LOCK = ".lock"
"""Name of the file in a folder by which a process holds it."""


@contextlib.contextmanager
def written_atomically(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path in the same folder and renames it to `path` at the end.

    If the block raises, the temporary file or folder is removed and `path` stays as it was. The
    folder that holds `path` is created if needed. The temporary path has the suffix of `path`,
    because Keras, matplotlib and NumPy choose the format by it.

    Args:
        path: The file or folder to write. An existing folder is replaced.

    Example::

        with written_atomically("notes.txt") as partial:
            partial.write_text("all or nothing")
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, old = (path.with_name(f".{kind}.{path.name}") for kind in ("partial", "old"))
    _remove(partial)
    try:
        yield partial
        if not (partial.is_dir() and path.exists()):
            os.replace(partial, path)
            return
        # A folder cannot be renamed over one that is not empty.
        _remove(old)
        path.rename(old)
        try:
            partial.rename(path)
        except OSError:
            old.rename(path)
            raise
        _remove(old)
    finally:
        _remove(partial)


@contextlib.contextmanager
def claimed(folder: str | os.PathLike) -> Iterator[None]:
    """Holds a folder, which is created if needed, for this process alone.

    The operating system frees the lock when the process ends, however it ends.

    Raises:
        InputError: If another process holds the folder.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise InputError(f"'{folder}' is in use by another command; wait until it ends") from None
    try:
        yield
    finally:
        lock.release()


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file atomically."""
    with written_atomically(path) as partial:
        partial.write_text(text)


def write_json(path: str | os.PathLike, values: dict) -> None:
    """Writes a JSON file atomically."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def _remove(path: pathlib.Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
