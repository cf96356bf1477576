"""Reads a user's own folder of images, in class folders or unlabeled."""

from __future__ import annotations

import math
import os
import pathlib
import warnings

import numpy as np
import tensorflow as tf

from keras_simsiam.config import CheckFiles
from keras_simsiam.data import scan
from keras_simsiam.data.checking import check, header_sizes
from keras_simsiam.data.copies import readable_paths
from keras_simsiam.data.dataset import Dataset
from keras_simsiam.data.images import ImagesLike
from keras_simsiam.data.in_files import ImageFiles
from keras_simsiam.data.in_memory import MAX_IN_MEMORY
from keras_simsiam.data.measuring import MOST_LOOKED_AT, measured
from keras_simsiam.data.paths import Paths
from keras_simsiam.data.reading import LEFT_OUT, read_images
from keras_simsiam.environment import check_memory
from keras_simsiam.errors import InputError, NoSuchSplit, check_choice
from keras_simsiam.pixels import Pixels

_LOOKED_AT = 64
"""Images whose size is looked at before all are checked."""

_SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "test", "testing"),
}
"""Names of the folder of each split, in lower case; the first that exists is read."""


def read(
    path: str,
    split: str,
    data_dir: str | None = None,
    check_files: CheckFiles = "full",
    pixels: Pixels = Pixels(),  # noqa: B008 (it is frozen)
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
        pixels: The channels, and the range of files with more than 8 bits; if there is none, it
            is measured on training images.

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
    pixels = _measured(pixels, files, folder, folders.get("train", folder))
    images, kept = _images(folder, files, check_files, pixels)
    if len(kept) < len(files):
        lost = np.setdiff1d(np.arange(len(files)), kept)
        left_out.add("unreadable", *(os.path.relpath(files[i], folder) for i in lost))
    labels = None if labels is None else labels[kept]
    paths = images.paths if isinstance(images, ImageFiles) else files.take(kept)
    return Dataset(images, labels, classes, paths, str(left_out), pixels)


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
    few, _ = readable_paths(files[:: max(1, len(files) // count)])
    sizes = header_sizes(few)
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


def _measured(pixels: Pixels, files: Paths, folder: str, training: str) -> Pixels:
    """The pixels with the range of the training images, so that those of both splits are alike."""
    if pixels.high:
        return pixels
    if folder != training:
        files = scan.images(training, scan.LeftOut()) or files
    few, _ = readable_paths(files[:: max(1, len(files) // MOST_LOOKED_AT)])
    return measured(few, pixels)


def _images(
    folder: str, paths: Paths, check_files: CheckFiles, pixels: Pixels
) -> tuple[ImagesLike, np.ndarray]:
    """The images, and the positions of the files that could be read."""
    stored, causes = readable_paths(paths)
    files = ImageFiles(paths, pixels=pixels, stored=stored)
    whys = {paths[i]: why.__str__ for i, why in causes.items()}
    files.unreadable.add(whys, LEFT_OUT)
    kept = np.setdiff1d(np.arange(len(files)), [*causes])
    files = files.take(kept)
    if check_files == "none":
        return files, kept
    if check_files == "full":
        _check_room(files)
    of_kept, sizes = check(folder, files, check_files)
    files, kept = files.take(of_kept), kept[of_kept]
    height, width = sizes[0].tolist()
    shape = (height, width, pixels.channels)
    if check_files == "full" and (sizes == sizes[0]).all() and _fits(len(files), shape):
        images, still = read_images(
            files.paths,
            tf.range(len(files), dtype=tf.int64),
            files.decoded,
            shape,
            files.unreadable,
        )
        return images, kept[still]
    return files, kept


def _check_room(files: ImageFiles) -> None:
    """Raises InputError if the images seem to be held in memory, and there is no room for them.

    A pipeline takes a copy of them.
    """
    sizes = {*header_sizes(files.every(max(1, len(files) // _LOOKED_AT)).stored)}
    if len(sizes) != 1:
        return
    ((height, width),) = sizes
    shape = (height, width, files.channels)
    if _fits(len(files), shape):
        check_memory(
            f"images of {width}×{height} pixels",
            len(files),
            2 * math.prod(shape),
            "with --check-files header all are read from their files instead",
        )


def _fits(count: int, shape: tuple[int, int, int]) -> bool:
    return count * math.prod(shape) <= MAX_IN_MEMORY
