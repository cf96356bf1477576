"""Finds the images in a folder, and counts what looks like one but is left out."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterator

import numpy as np

from keras_simsiam.data.paths import Paths
from keras_simsiam.errors import InputError, printable

EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp"),
    *(".tif", ".tiff", ".npy"),
)

_ARRAY = ".npy"

_OTHER_PICTURES = re.compile(
    r"\.(hei[cf]|avif|jxl|jp2|j2k|jp[fx]|jxr|svg|ico|icns|ps[db]|xcf|tga|pcx|dib|p[pgbnf]m|exr"
    r"|hdr|dds|apng|mpo|eps|raw|dng|cr[23w]|nef|nrw|arw|srf|sr2|orf|rw2|raf|pef|srw|x3f|3fr|iiq"
    r"|dcm|dicom|nii|fits|czi|nd2|lif|svs|ndpi)"
)
"""Endings of picture files that cannot be read."""

_SYSTEM_FOLDERS = frozenset(
    ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found")
)
"""Folders that systems create. Like hidden folders, they have only previews or copies of images."""

_SHOWN = 3


class LeftOut(dict[str, list[str]]):
    """Names of files and folders that were left out, by reason, such as ".heic"."""

    def add(self, reason: str, *names: str) -> None:
        """Adds names to a reason."""
        self.setdefault(reason, []).extend(names)

    def __str__(self) -> str:
        """Such as "3 .heic (a.heic, b.heic, …), 1 beside the class folders (photo.jpg)"."""
        parts = []
        for reason, names in self.items():
            plural = "s" * (len(names) > 1 and reason.endswith(("folder", "link")))
            different = list(dict.fromkeys(names))
            shown = [printable(name) for name in different[:_SHOWN]]
            listed = ", ".join(shown + ["…"] * (len(different) > _SHOWN))
            parts.append(f"{len(names):,} {reason}{plural} ({listed})")
        return ", ".join(parts)


def canonical(name: str) -> str:
    """A file's name in Unicode's normal form C, which does not depend on system or locale.

    Bytes that are not UTF-8 become lone surrogates, as with `os.fsdecode`.
    """
    text = os.fsencode(name).decode("utf-8", "surrogateescape")
    return unicodedata.normalize("NFC", text)


def subfolders(folder: str) -> dict[str, str]:
    """Paths of the folders in a folder that may hold images, by canonical name.

    Raises:
        InputError: If the folder cannot be read.
    """
    above = (os.path.realpath(folder),)
    names, others = _top(folder)
    entries = (others[name] for name in names if name in others)
    return {canonical(e.name): e.path for e in entries if _real_folder(e, above)}


def images(folder: str, left_out: LeftOut) -> Paths:
    """Paths of the image files in a folder, at any depth, sorted by name.

    Hidden files and folders are skipped. Links are followed, except to a folder that holds them.
    Files of arrays, which may be labels or features, are only images where there are no others.

    Args:
        folder: The folder.
        left_out: What looks like an image but cannot be read is added to it.

    Raises:
        InputError: If the folder cannot be read.
    """
    folders: list[str] = []
    counts: list[int] = []
    found: list[str] = []
    # Folders that are being read: the path, the names that are left, what is under those that are
    # no images, and the real paths of the folder and of those above it.
    stack: list[tuple[str, Iterator[str], dict[str, os.DirEntry], tuple[str, ...]]]
    stack = [(folder, *_top(folder), (os.path.realpath(folder),))]
    while stack:
        path, names, others, above = stack[-1]
        before = len(found)
        for name in names:
            entry = others.get(name)
            if entry is None or _is_image(entry, folder, left_out):
                found.append(name)
            elif real := _real_folder(entry, above):
                try:
                    stack.append((entry.path, *_listed(entry.path), (*above, real)))
                except OSError:
                    name = f"{os.path.relpath(entry.path, folder)}{_mode(entry.path)}"
                    left_out.add("unreadable folder", name)
                    continue
                break
        else:
            stack.pop()
        if len(found) > before:
            folders.append(path)
            counts.append(len(found) - before)
    files = Paths(folders, np.repeat(np.arange(len(folders), dtype=np.int32), counts), found)
    arrays = files.ending_with((_ARRAY,))
    if len(arrays) in (0, len(files)):
        return files
    for i in arrays:
        left_out.add(f"{_ARRAY} beside other images", os.path.relpath(files[i], folder))
    return files.take(np.setdiff1d(np.arange(len(files)), arrays))


def _top(folder: str) -> tuple[Iterator[str], dict[str, os.DirEntry]]:
    try:
        return _listed(folder)
    except OSError as e:
        raise InputError(f"folder '{folder}' cannot be read: {e.strerror}{_mode(folder)}") from e


def _mode(folder: str) -> str:
    """Who may read a folder, as ``ls -l`` shows it, to append to a message."""
    try:
        return f", mode {stat.filemode(os.stat(folder).st_mode)}"
    except OSError:
        return ""


def _listed(folder: str) -> tuple[Iterator[str], dict[str, os.DirEntry]]:
    """The visible names in a folder, sorted, and the entries of those that may be no images.

    Entries are large, so those of plain files that are named like images are not kept.
    """
    names, others = [], {}
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            lower = name.lower()
            if not (lower.endswith(EXTENSIONS) and entry.is_file(follow_symlinks=False)):
                if lower in _SYSTEM_FOLDERS:
                    continue
                others[name] = entry
            names.append(name)
    # Names in ASCII, which most are, are their own canonical form.
    ascii_only = all(map(str.isascii, names))
    names.sort(key=None if ascii_only else lambda name: (canonical(name), name))
    return iter(names), others


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False


def _real_folder(entry: os.DirEntry, above: tuple[str, ...]) -> str:
    """The real path of a folder; "" if it is not one, or a link to a folder that contains it."""
    if not _is_folder(entry):
        return ""
    if not entry.is_symlink():
        return os.path.join(above[-1], entry.name)
    real = os.path.realpath(entry.path)
    return "" if any(f"{a}{os.sep}".startswith(f"{real}{os.sep}") for a in above) else real


def _is_image(entry: os.DirEntry, folder: str, left_out: LeftOut) -> bool:
    """Whether an entry is an image file; what only looks like one is added to `left_out`."""
    if _is_folder(entry):
        return False
    suffix = os.path.splitext(entry.name)[1].lower()
    try:
        is_file = entry.is_file()
    except OSError:
        is_file = False
    if is_file and suffix in EXTENSIONS:
        return True
    reason = None
    if entry.is_symlink() and not os.path.exists(entry.path):
        reason = "broken link"
    elif is_file and _OTHER_PICTURES.fullmatch(suffix):
        reason = suffix
    elif not is_file and suffix in EXTENSIONS:
        reason = "not a file"
    if reason is not None:
        left_out.add(reason, os.path.relpath(entry.path, folder))
    return False
