"""Copies of TIFF files as .npy files, which TensorFlow can read.

Reading TIFF files needs Python, and Python that is called inside of tf.data can hang when an
iterator is freed. So each file is read once, before it is used. The copies have the values of the
files and are kept in `keras_simsiam.files.cache_folder`; nothing is lost with them but time.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from keras_simsiam.data.paths import Paths
from keras_simsiam.data.progress import Progress
from keras_simsiam.errors import first_line
from keras_simsiam.files import cache_folder, written_atomically

EXTENSIONS = (".tif", ".tiff")

_VERSION = 1  # to be raised if other values are read of a file than before
_THREADS = 8


def readable_paths(files: Paths) -> tuple[Paths, dict[int, str]]:
    """Where TensorFlow reads each file: a copy of a TIFF file, and other files themselves.

    Args:
        files: The files.

    Returns:
        The paths, and why TIFF files cannot be read, by position; these have no copy.

    Raises:
        CannotWrite: If there is no space for the copies.
    """
    which = files.ending_with(EXTENSIONS)
    if not which:
        return files, {}
    say = Progress("copied", len(which))
    paths, causes = [*files], {}
    with ThreadPoolExecutor(_THREADS) as threads:
        found = threads.map(_copied, (paths[i] for i in which))
        for done, (i, (copy, why)) in enumerate(zip(which, found, strict=True), start=1):
            if why:
                causes[i] = why
            else:
                paths[i] = copy
            say(done)
    return Paths.of(paths), causes


def _copied(path: str) -> tuple[str, str]:
    """The copy of a file, which is made if there is none, and why it cannot be made."""
    from keras_simsiam.data.tiff import read_tiff  # only for those who have such files

    try:
        status = os.stat(path)
        key = f"{_VERSION} {status.st_size} {status.st_mtime_ns} ".encode()
        name = hashlib.sha256(key + os.fsencode(os.path.realpath(path))).hexdigest()[:32]
        copy = _folder() / name[:2] / f"{name}.npy"
        if copy.is_file():
            return str(copy), ""
        values = read_tiff(path)
    except Exception as e:  # of a damaged file, tifffile and Pillow raise any error
        return path, first_line(e)
    with written_atomically(copy) as partial:
        np.save(partial, _plain(values), allow_pickle=False)
    return str(copy), ""


def _plain(values: np.ndarray) -> np.ndarray:
    """The values in rows, of a type that TensorFlow reads."""
    if values.dtype == np.uint64:
        values = values.astype(np.float64)
    return np.ascontiguousarray(values)


def _folder() -> pathlib.Path:
    return cache_folder() / "copies"
