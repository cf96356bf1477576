"""Digests by which a resumed run recognizes its images, even if they have moved."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence

import numpy as np

from keras_simsiam.data.index import stamps
from keras_simsiam.data.paths import Paths
from keras_simsiam.data.scan import canonical

_READ = 64
"""About how many files are read, 64 KiB each: names and sizes do not tell BMP files of one size
apart. Reading all files would take too long."""

_PIXELS = 2**28
"""The most bytes of an array that are read, which takes a fraction of a second."""


def of_parts(parts: Iterable[str | bytes | memoryview]) -> str:
    """The digest of a sequence, 16 hexadecimal digits."""
    found = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(memoryview(raw).nbytes.to_bytes(8, "little"))
        found.update(raw)
    return found.hexdigest()[:16]


def of_array(array: np.ndarray) -> str:
    """The digest of shape, type and values; for a large array, only those of evenly spaced rows."""
    rows = array[:: max(1, -(-array.nbytes // _PIXELS))]
    return of_parts([f"{array.dtype} {array.shape}", np.ascontiguousarray(rows).data])


def of_files(paths: Sequence[str]) -> str:
    """The digest of names and sizes, and of the contents of some evenly spaced files.

    Names are relative to the folder that contains all files, so that may be moved or renamed.
    """
    files = Paths.of(paths)
    runs = [(folder, run) for folder, run in files.runs() if run.stop > run.start]
    root = os.path.commonpath([folder for folder, _ in runs])
    named: list[str] = []
    for folder, run in runs:
        start = canonical(os.path.join(folder, "").removeprefix(root).lstrip(os.sep))
        # Names in ASCII are their own canonical form.
        named += [start + (n if n.isascii() else canonical(n)) for n in files.names[run]]
    sizes = " ".join(map(str, stamps(files)[:, 0].tolist()))
    step = max(1, len(paths) // _READ)
    return of_parts(["\0".join(named), sizes, *map(_start, paths[::step])])


def _start(path: str) -> bytes:
    """The first 64 KiB; empty if they cannot be read, which is reported elsewhere."""
    try:
        with open(path, "rb") as file:
            return file.read(2**16)
    except OSError:
        return b""
