"""Datasets in a zip or in its extracted folder: which files there are, and their bytes.

Nothing is extracted to the disk, and what is read from a zip is bounded: zips come from the
network, and may be damaged or malicious.
"""

from __future__ import annotations

import collections
import lzma
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO

from keras_simsiam.errors import InputError, shown

_MAX_ZIP = 2**31
"""The largest size of all files in a zip, in bytes; Tiny ImageNet has 237 MB."""

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)

UNREADABLE = (
    *(OSError, EOFError, KeyError, RuntimeError, ValueError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)
"""What reading a member of a zip raises if it is damaged."""


class Folder:
    """A folder on disk.

    Args:
        root: The folder, or one that contains it.
        marker: Name of a file by which the folder is recognized.
    """

    def __init__(self, root: pathlib.Path, marker: str):
        candidates = (f for f in (root, *sorted(root.iterdir())) if (f / marker).is_file())
        self._root = next(candidates, root)

    def has(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        return (self._root / name).exists()

    def names(self, folder: str) -> list[str]:
        """The files of a folder, which need not exist, without hidden ones."""
        path = self._root / folder
        found = path.iterdir() if path.is_dir() else ()
        return [f.name for f in found if f.is_file() and not f.name.startswith(".")]

    def open(self, name: str) -> BinaryIO:
        """Opens a file."""
        path = self._root / name
        if not path.is_file():  # opening a pipe would wait for somebody to write to it
            raise FileNotFoundError(f"there is no file {name}")
        return path.open("rb")


class Zip:
    """A zip, with the methods of `Folder`.

    Args:
        path: The zip. Its files may lie in a folder.
        marker: Name of a file by which that folder is recognized.
        described: The zip's name in messages.

    Raises:
        InputError: If it is not a zip, or not all of it can or may be read.
    """

    def __init__(self, path: pathlib.Path, marker: str, described: str):
        try:
            self._file = zipfile.ZipFile(path)
        except UNREADABLE as e:
            raise InputError(
                f"{described} is not a readable zip ({e}). If it is the official "
                "tiny-imagenet-200.zip, check that it has all of its 248,100,043 bytes"
            ) from e
        members = [member for member in self._file.infolist() if not member.is_dir()]
        for member in members:
            _check_member(member, described)
        total = sum(member.file_size for member in members)
        if total > _MAX_ZIP:
            raise InputError(
                f"{described} must hold at most {_MAX_ZIP:,} bytes when extracted; got {total:,}"
            )
        self._folders: dict[str, set[str]] = collections.defaultdict(set)
        for member in members:
            folder, _, file = member.filename.rpartition("/")
            if file in self._folders[folder]:
                name = shown(member.filename)
                raise InputError(f"{described} must hold each file once; got {name} twice")
            self._folders[folder].add(file)
        tops = sorted(top for top, files in self._folders.items() if marker in files)
        self._top = f"{tops[0]}/" if tops and tops[0] else ""

    def has(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        folder, _, file = f"{self._top}{name}".rpartition("/")
        beginning = f"{self._top}{name}/"
        return file in self._folders.get(folder, ()) or any(
            f"{other}/".startswith(beginning) for other in self._folders
        )

    def names(self, folder: str) -> list[str]:
        """The files of a folder, which need not exist, without hidden ones."""
        found = self._folders.get(f"{self._top}{folder}", ())
        return [name for name in found if not name.startswith(".")]

    def open(self, name: str) -> BinaryIO:
        """Opens a file."""
        return self._file.open(f"{self._top}{name}")  # type: ignore[return-value]


def _check_member(member: zipfile.ZipInfo, described: str) -> None:
    """Raises InputError for a member that cannot be read, or climbs out of the zip."""
    name = shown(member.filename)
    if member.flag_bits & 1:
        raise InputError(f"{described} must not be encrypted; {name} is")
    if member.compress_type not in _COMPRESSIONS:
        raise InputError(
            f"{described} must be compressed with deflate, bzip2 or LZMA, or not at all; {name} "
            f"has method {member.compress_type}"
        )
    if member.filename.startswith("/") or ".." in member.filename.split("/"):
        raise InputError(f"{described} must hold names inside one folder; got {name}")


def is_file_name(name: str) -> bool:
    """Whether a name is that of a file in a folder, not a path that leads out of it."""
    return name not in (".", "..") and not set(name) & set("/\\\0")


def read_bounded(opener: Callable[[], BinaryIO], max_bytes: int) -> bytes:
    """The bytes of a file, whose size in its archive's index may be false.

    Raises:
        ValueError: If there are more than `max_bytes`; for other errors, see `UNREADABLE`.
    """
    with opener() as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"it has more than {max_bytes:,} bytes")
    return content
