"""Writing files and folders atomically: a reader sees the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator

import filelock

from keras_simsiam.errors import CannotWrite, InputError

LOCK = ".lock"
"""Name of the file in a folder by which a process holds it."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LONGEST_NAME = 255  # bytes, on all usual file systems


@contextlib.contextmanager
def written_atomically(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path in the same folder and renames it to `path` at the end.

    If the block raises, the temporary file or folder is removed and `path` stays as it was. The
    folder that holds `path` is created if needed. The temporary path has the suffix of `path`,
    because Keras, matplotlib and NumPy choose the format by it. Its content is on the disk before
    it is renamed, so that a crash of the machine leaves no empty file, either.

    Args:
        path: The file or folder to write. An existing folder is replaced. Of a link, what it
            points to is written.

    Example::

        with written_atomically("notes.txt") as partial:
            partial.write_text("all or nothing")
    """
    path = _target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    recover(path)
    partial = _beside(path, "partial")
    try:
        yield partial
        _flush(partial)
        if partial.is_dir() and path.exists():
            # A folder cannot be renamed over one that is not empty. If the process is killed here,
            # `recover` renames the old one back.
            path.rename(_beside(path, "old"))
        os.replace(partial, path)
        _flush_entry(path.parent)
    finally:
        recover(path)


def recover(path: str | os.PathLike) -> None:
    """Makes up for a kill, or an error, in the midst of `written_atomically` or `discard`.

    No other process may be writing `path`.
    """
    path = _target(path)
    old = _beside(path, "old")
    if os.path.lexists(old) and not os.path.lexists(path):
        old.rename(path)
    for left in (old, _beside(path, "partial")):
        remove(left)


def remove(path: pathlib.Path) -> None:
    """Removes a file, a folder or a link, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def discard(path: str | os.PathLike) -> None:
    """Removes a folder at once: a kill leaves nothing of it under its name."""
    path = _target(path)
    recover(path)
    if path.exists():
        path.rename(_beside(path, "partial"))
    recover(path)


@contextlib.contextmanager
def claimed(folder: str | os.PathLike, beside: bool = False) -> Iterator[None]:
    """Holds a folder for this process alone.

    The operating system frees the lock when the process ends, however it ends. The folder is
    created if needed, and removed at the end if nothing was written to it.

    Args:
        folder: The folder, or a link to it.
        beside: Whether the lock lies beside the folder, which is not created, because
            `written_atomically` replaces the folder as a whole.

    Raises:
        InputError: If another process holds the folder, or it cannot be written to.
        CannotWrite: If the disk is full.
    """
    folder = pathlib.Path(folder)
    path = _beside(_target(folder), "lock") if beside else _target(folder) / LOCK
    created = [p for p in path.parents if not os.path.exists(p)]
    lock = filelock.FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        if not os.access(path.parent, os.W_OK | os.X_OK):  # of a lock that was there before
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except filelock.Timeout:
        raise InputError(f"'{folder}' is in use by another command; wait until it ends") from None
    except OSError as e:
        _remove_traces(lock, path, created, beside)
        raise _refusal(e, folder) from e
    try:
        yield
    finally:
        _remove_traces(lock, path, created, beside)


def _remove_traces(
    lock: filelock.FileLock, path: pathlib.Path, created: list[pathlib.Path], beside: bool
) -> None:
    """Releases a lock, and removes it and what was created for it, unless something was written."""
    with contextlib.suppress(OSError):
        if lock.is_locked and (beside or os.listdir(path.parent) == [path.name]):
            path.unlink()  # before it is released, or it might be another process's
        for parent in created:
            parent.rmdir()
    lock.release()


def _refusal(error: OSError, folder: pathlib.Path) -> InputError | CannotWrite:
    """Why a folder cannot be written to, in one line."""
    for place in (folder, *folder.parents):
        if os.path.exists(place) and not os.path.isdir(place):
            return InputError(f"'{place}' must be a folder; it is a file")
    full = why_full(error)
    if full is not None:
        return CannotWrite(f"cannot write to '{folder}': {full}; make room and try again")
    return InputError(f"cannot write to '{folder}': {error.strerror or error}")


def why_full(error: BaseException) -> str | None:
    """What an error of any library says of a disk that is full; None if it is another error."""
    for code in _FULL:
        # TensorFlow and HDF5 have errors of their own, with the system's text in them.
        if getattr(error, "errno", None) == code or os.strerror(code) in str(error):
            return os.strerror(code)
    return None


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file atomically."""
    with written_atomically(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, values: dict) -> None:
    """Writes a JSON file atomically."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def _target(path: str | os.PathLike) -> pathlib.Path:
    """What a path points to, if it is a link, which need not exist."""
    path = pathlib.Path(path)
    return pathlib.Path(os.path.realpath(path)) if os.path.islink(path) else path


def _beside(path: pathlib.Path, kind: str) -> pathlib.Path:
    """The hidden name beside `path` that stands for its temporary, old or locked form."""
    name = f".{kind}.{path.name}"
    if len(os.fsencode(name)) > _LONGEST_NAME:
        digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
        name = f".{kind}.{digest}{path.suffix if len(path.suffix) < 16 else ''}"
    return path.with_name(name)


def _flush(path: pathlib.Path) -> None:
    """Has the content of a file, or of a folder and all in it, written to the disk."""
    for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
        if each.is_dir():
            _flush_entry(each)
        else:
            with each.open("rb") as file:
                os.fsync(file.fileno())


def _flush_entry(folder: pathlib.Path) -> None:
    """Has the names in a folder written to the disk, where the file system can do that."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as e:
        if e.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(opened)
