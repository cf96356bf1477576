"""Writing files and folders atomically: a reader sees the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Sequence

import filelock

from keras_simsiam.errors import CannotWrite, InputError

LOCK = ".lock"
"""Name of the file in a folder by which a process holds it."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORMULAS = tuple("=+-@\t\r\n'")
_LONGEST_NAME = 255  # bytes, on all usual file systems


def cache_folder() -> pathlib.Path:
    """What can be made again: ``$KERAS_SIMSIAM_CACHE``, or a folder in the user's for caches."""
    if folder := os.environ.get("KERAS_SIMSIAM_CACHE"):
        return pathlib.Path(folder).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(caches).expanduser() / "keras_simsiam"


@contextlib.contextmanager
def written_atomically(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path in the same folder and renames it to `path` at the end.

    If the block raises, the temporary file or folder is removed and `path` stays as it was. The
    folder that holds `path` is created if needed. The temporary path has the suffix of `path`,
    because Keras, matplotlib and NumPy choose the format by it. Its content is flushed to the disk
    before the rename, so that even a crash of the machine leaves no empty file.

    Args:
        path: The file or folder to write. What exists there is replaced; a link stays, and its
            target is replaced.

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
    """Cleans up after a `written_atomically` or `discard` that was killed or failed halfway.

    No other process may be writing `path`.
    """
    path = _target(path)
    old = _beside(path, "old")
    if os.path.lexists(old) and not os.path.lexists(path):
        old.rename(path)
    for left in (old, _beside(path, "partial")):
        remove(left)


def remove(path: pathlib.Path) -> None:
    """Removes a file, folder or link, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def discard(path: str | os.PathLike) -> None:
    """Removes a folder atomically: a kill leaves all of it under its name, or nothing."""
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
        beside: Whether the lock lies beside the folder, for a folder that `written_atomically`
            replaces as a whole. The folder is then not created.

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
        if not os.access(path.parent, os.W_OK | os.X_OK):  # the lock may have existed before
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
    """Releases a lock and removes what was created for it, but for folders written to since."""
    with contextlib.suppress(OSError):
        if lock.is_locked and (beside or os.listdir(path.parent) == [path.name]):
            path.unlink()  # before the release, after which it may be another process's
        for parent in created:
            parent.rmdir()
    lock.release()


def _refusal(error: OSError, folder: pathlib.Path) -> InputError | CannotWrite:
    """The error that says in one line why a folder cannot be written to."""
    for place in (folder, *folder.parents):
        if os.path.exists(place) and not os.path.isdir(place):
            return InputError(f"'{place}' must be a folder; it is a file")
    full = why_full(error)
    if full is not None:
        return CannotWrite(f"cannot write to '{folder}': {full}; make room and try again")
    return InputError(f"cannot write to '{folder}': {error.strerror or error}")


def why_full(error: BaseException) -> str | None:
    """The system's message, if an error of any library means that the disk is full; else None."""
    for code in _FULL:
        # TensorFlow and HDF5 raise their own errors, which contain the system's message.
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


def write_csv(
    path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Writes a CSV file atomically.

    Args:
        path: The file.
        columns: Names of the columns.
        rows: The cells of each row; None is an empty cell. Names of files may be any; see
            `spreadsheet_text` for those that a spreadsheet would compute.
    """
    with (
        written_atomically(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        csv.writer(file).writerows([columns, *rows])


def spreadsheet_text(text: str) -> str:
    """Text for a cell of a CSV file that no spreadsheet takes for a formula.

    An apostrophe is put before what begins with ``=``, ``+``, ``-``, ``@``, a tab, a line break or
    an apostrophe; `spreadsheet_value` removes it.
    """
    return f"'{text}" if text[:1] in _FORMULAS else text


def spreadsheet_value(cell: str) -> str:
    """The text that `spreadsheet_text` made a cell of."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULAS else cell


def _target(path: str | os.PathLike) -> pathlib.Path:
    """The path, or if it is a link the target, which need not exist."""
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
    """Flushes a file, or a folder and everything in it, to the disk."""
    for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
        if each.is_dir():
            _flush_entry(each)
        else:
            with each.open("rb") as file:
                os.fsync(file.fileno())


def _flush_entry(folder: pathlib.Path) -> None:
    """Flushes the list of names in a folder to the disk, if the file system supports that."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as e:
        if e.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(opened)
