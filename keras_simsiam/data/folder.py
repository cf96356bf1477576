"""Reads a user's own folder of images, in class folders or unlabeled."""

from __future__ import annotations

import os
import pathlib
import warnings

import numpy as np
import tensorflow as tf

from keras_simsiam.config import CheckFiles
from keras_simsiam.data import scan
from keras_simsiam.data.checking import check, header_sizes
from keras_simsiam.data.dataset import Dataset
from keras_simsiam.data.images import ImagesLike
from keras_simsiam.data.in_files import ImageFiles
from keras_simsiam.data.in_memory import MAX_IN_MEMORY
from keras_simsiam.data.paths import Paths
from keras_simsiam.data.reading import Unreadable, read_images
from keras_simsiam.environment import free_memory
from keras_simsiam.errors import InputError, NoSuchSplit, check_choice

_LOOKED_AT = 64
"""Images whose size is looked at before all are checked."""

_DARK = 64
"""Images of 16 bits that use at most this many of 256 levels cause a warning; 14 bits use 64."""

_SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "test", "testing"),
}
"""Names of the folder of each split, in lower case; the first that exists is read."""


def read(
    path: str, split: str, data_dir: str | None = None, check_files: CheckFiles = "full"
) -> Dataset:
    """Reads a split of a folder of images.

    Images in ``PATH/train/<class>/…`` and ``PATH/val/<class>/…`` are labeled. In a folder without
    train/, the images at any depth are unlabeled training images. The README of this package says
    what is skipped, and what is left out with a warning.

    Args:
        path: The folder.
        split: "train" or "validation"; see `_SPLIT_FOLDERS` for the names of their folders.
        data_dir: Not used.
        check_files: What is read of each file first, see `keras_simsiam.config.Data`.

    Returns:
        Images in memory if all have one size and fit, else `ImageFiles`; with labels if they are
        in class folders. Without a full check always `ImageFiles`.

    Raises:
        InputError: If there is no such folder or split, it has no images, or more than 1% of them
            cannot be read.
    """
    root = _existing(path)
    check_choice("split", split, _SPLIT_FOLDERS)
    folders = split_folders(root)
    if split not in folders and (folders or split == "validation"):
        raise NoSuchSplit(
            f"folder '{path}' must contain a folder named {' or '.join(_SPLIT_FOLDERS[split])} "
            f"to have a {split} split"
        )
    folder, left_out = folders.get(split, root), scan.LeftOut()
    files = _found(folder, left_out)
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    if folders:
        files, labels, classes = _labeled(files, folder, folders.get("train", folder), left_out)
    if left_out:
        warnings.warn(f"folder '{folder}': left out {left_out}", stacklevel=2)
    if not files:
        raise NoSuchSplit(
            f"folder '{folder}' must have images of the classes of '{folders['train']}'"
        )
    images, kept = _images(folder, files, check_files)
    if len(kept) < len(files):
        lost = np.setdiff1d(np.arange(len(files)), kept)
        left_out.add("unreadable", *(os.path.relpath(files[i], folder) for i in lost))
    labels = None if labels is None else labels[kept]
    paths = images.paths if isinstance(images, ImageFiles) else files.take(kept)
    return Dataset(images, labels, classes, paths, str(left_out))


def look(path: str, count: int) -> tuple[int, int]:
    """How many training images a folder has, and the median of the shorter sides of some.

    Args:
        path: The folder, see `read`.
        count: How many images to look at, evenly spaced.

    Raises:
        InputError: If there is no such folder, or it has no images.
    """
    folder = split_folders(_existing(path)).get("train", os.path.expanduser(path))
    files = _found(folder, scan.LeftOut())
    sizes = header_sizes(files[:: max(1, len(files) // count)])
    return len(files), int(np.median([min(size) for size in sizes])) if sizes else 224


def split_folders(root: str) -> dict[str, str]:
    """The folders of the splits that exist in a folder, by split; see `_SPLIT_FOLDERS`.

    Raises:
        InputError: If there are several of one split, or the folder cannot be read.
    """
    spelled: dict[str, list[str]] = {}
    for name, path in scan.subfolders(root).items():
        spelled.setdefault(name.lower(), []).append(path)
    found = {}
    for split, names in _SPLIT_FOLDERS.items():
        paths = next((spelled[name] for name in names if name in spelled), [])
        if len(paths) > 1:
            named = " and ".join(f"'{os.path.basename(path)}'" for path in paths)
            raise InputError(
                f"folder '{root}' must have one folder for its {split} images; it has {named}"
            )
        if paths:
            found[split] = paths[0]
    return found


def _existing(path: str) -> str:
    root = os.path.expanduser(path)
    if not os.path.isdir(root):
        raise InputError(f"folder '{path}' does not exist")
    return os.fspath(pathlib.Path(root))


def _found(folder: str, left_out: scan.LeftOut) -> Paths:
    files = scan.images(folder, left_out)
    if not files:
        raise InputError(
            f"folder '{folder}' must contain images, files ending in {' '.join(scan.EXTENSIONS)}"
            + (f"; it has {left_out}" if left_out else "")
        )
    return files


def _labeled(
    files: Paths, folder: str, training: str, left_out: scan.LeftOut
) -> tuple[Paths, np.ndarray | None, tuple[str, ...]]:
    """The files to keep, their labels by class folder, and the names of the classes.

    The classes are those of the training folder, so that both splits number them alike. A folder
    with no more images in class folders than beside them is unlabeled, and all files are kept.
    """
    beside = np.array([path == folder for path in files.folders])[files.folder_of]
    names = [files.names[i] for i in np.flatnonzero(beside)]
    if 2 * len(names) >= len(files):
        if len(names) < len(files):
            warnings.warn(
                f"folder '{folder}' has no labels, because {len(names):,} of its {len(files):,} "
                f"images are beside the class folders, such as {names[0]}",
                stacklevel=3,
            )
        return files, None, ()
    if names:
        left_out.add("beside the class folders", *names)
    classes = tuple(sorted(scan.subfolders(training) or scan.subfolders(folder)))
    number = {name: i for i, name in enumerate(classes)}
    start = len(os.path.join(folder, ""))
    class_of = [scan.canonical(path[start:].split(os.sep, 1)[0]) for path in files.folders]
    labels = np.array([number.get(name, -1) for name in class_of], np.int64)[files.folder_of]
    for i in files.folder_of[(labels < 0) & ~beside]:
        left_out.add("of classes without training images", class_of[i])
    kept = np.flatnonzero((labels >= 0) & ~beside)
    files, labels = files.take(kept), labels[kept]
    if folder == training:
        empty = np.setdiff1d(np.arange(len(classes)), labels)
        if len(empty):
            left_out.add("empty class folder", *(classes[i] for i in empty))
    return files, labels, classes


def _images(folder: str, files: Paths, check_files: CheckFiles) -> tuple[ImagesLike, np.ndarray]:
    """The images, and the positions of the files that could be read."""
    unreadable = Unreadable(len(files))
    if check_files == "none":
        return ImageFiles(files, unreadable), np.arange(len(files))
    if check_files == "full":
        _check_room(files)
    kept, found = check(folder, files, check_files, unreadable)
    _warn_if_dark(int(found[:, 2].max()))
    files, sizes = files.take(kept), found[:, :2]
    height, width = sizes[0].tolist()
    if check_files == "full" and (sizes == sizes[0]).all() and _fits(len(files), height, width):
        images, still = read_images(
            files,
            tf.range(len(files), dtype=tf.int64),
            lambda i: ImageFiles.decode(files.at(i)),
            (height, width),
            unreadable,
        )
        return images, kept[still]
    return ImageFiles(files, unreadable), kept


def _check_room(files: Paths) -> None:
    """Raises InputError if the images seem to be held in memory, and there is no room for them.

    A pipeline takes a copy of them.
    """
    sizes = {*header_sizes(files[:: max(1, len(files) // _LOOKED_AT)])}
    free = free_memory()
    if len(sizes) != 1 or free is None:
        return
    ((height, width),) = sizes
    each = 2 * height * width * 3
    needed = each * len(files)
    if _fits(len(files), height, width) and needed > free:
        raise InputError(
            f"{len(files):,} images of {width}×{height} pixels need {needed / 2**30:.1f} GiB of "
            f"memory; {free / 2**30:.1f} GiB are free: {free // each:,} images would fit, and with "
            "--check-files header all are read from their files instead"
        )


def _fits(count: int, height: int, width: int) -> bool:
    return count * height * width * 3 <= MAX_IN_MEMORY


def _warn_if_dark(brightest: int) -> None:
    """Warns if images of 16 bits use so little of their range that they become nearly black.

    Args:
        brightest: The most of 256 levels that one of them uses; 0 if there is none.
    """
    if 0 < brightest <= _DARK:
        warnings.warn(
            f"no image of 16 bits exceeds {256 * brightest - 1:,} of 65,535. As 8 bits they use "
            f"{brightest} of 256 levels and are nearly black; scale them to the whole range",
            stacklevel=4,
        )
