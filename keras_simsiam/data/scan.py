"""Finds the images in a folder, and counts what looks like one but is left out."""

from __future__ import annotations

import os
import re
import unicodedata

from keras_simsiam.errors import InputError, printable

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp")

_OTHER_PICTURES = re.compile(
    r"\.(tiff?|hei[cf]|avif|jxl|jp2|j2k|jp[fx]|jxr|svg|ico|icns|ps[db]|xcf|tga|pcx|dib|p[pgbnf]m|exr"
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
    return {canonical(e.name): e.path for e in _top(folder) if _real_folder(e, above)}


def images(folder: str, left_out: LeftOut) -> list[str]:
    """Paths of the image files in a folder, at any depth, sorted by name.

    Hidden files and folders are skipped. Links are followed, except to a folder that holds them.

    Args:
        folder: The folder.
        left_out: What looks like an image but cannot be read is added to it.

    Raises:
        InputError: If the folder cannot be read.
    """
    found = []
    root = os.path.realpath(folder)
    # Each entry with the real paths of the folders above it.
    stack: list[tuple[os.DirEntry, tuple[str, ...]]]
    stack = [(entry, (root,)) for entry in reversed(_top(folder))]
    while stack:
        entry, above = stack.pop()
        if not _is_folder(entry):
            if _is_image(entry, folder, left_out):
                found.append(entry.path)
        elif real := _real_folder(entry, above):
            try:
                listed = _listed(entry.path)
            except OSError:
                left_out.add("unreadable folder", os.path.relpath(entry.path, folder))
                continue
            stack += [(below, (*above, real)) for below in reversed(listed)]
    return found


def _top(folder: str) -> list[os.DirEntry]:
    try:
        return _listed(folder)
    except OSError as e:
        raise InputError(f"folder '{folder}' cannot be read: {e.strerror}") from e


def _listed(folder: str) -> list[os.DirEntry]:
    """The visible entries of a folder, sorted by name."""
    with os.scandir(folder) as entries:
        visible = [e for e in entries if not e.name.startswith(".")]
    kept = (e for e in visible if e.name.lower() not in _SYSTEM_FOLDERS)
    return sorted(kept, key=lambda e: (canonical(e.name), e.name))


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
