"""Room for features: in memory or, where that does not suffice, in a temporary file."""

from __future__ import annotations

import shutil
import tempfile
import warnings

import numpy as np

from keras_simsiam.environment import free_memory
from keras_simsiam.errors import InputError

_USED = 0.8
"""Share of the free memory that features may take."""


def for_features(count: int, dim: int) -> np.ndarray:
    """An array to fill, float32 ``[count, dim]``.

    If memory does not suffice, it is mapped from a temporary file, with a warning. The file is
    gone when the array is.

    Raises:
        InputError: If neither memory nor the folder of temporary files has room.
    """
    check(count, dim)
    if _fits_memory(count, dim):
        return np.empty([count, dim], np.float32)
    folder = tempfile.gettempdir()
    warnings.warn(
        f"the features of {count:,} images take {_gb(4 * count * dim)} and do not fit into memory; "
        f"they are held in a file in {folder}, which is slower",
        stacklevel=2,
    )
    return np.memmap(tempfile.TemporaryFile(), np.float32, "w+", shape=(count, dim))


def check(count: int, dim: int) -> None:
    """Raises InputError if there is no room for the features of `count` images."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if _fits_memory(count, dim) or 4 * count * dim <= free:
        return
    most = max(int(_USED * (free_memory() or 0)), free) // (4 * dim)
    raise InputError(
        f"the features of {count:,} images, {dim:,} numbers each, take {_gb(4 * count * dim)}, but "
        f"{_gb(free_memory() or 0)} of memory and {_gb(free)} in {folder} are free; at most "
        f"{most:,} images fit. Set TMPDIR to a folder with more room, or use fewer labeled images"
    )


def _fits_memory(count: int, dim: int) -> bool:
    free = free_memory()
    return free is None or 4 * count * dim <= _USED * free


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
