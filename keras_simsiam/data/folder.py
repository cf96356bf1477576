"""Reads a user's own folder of images, in class folders or unlabeled."""

from __future__ import annotations

import functools
import os
import pathlib
import warnings

import numpy as np
import tensorflow as tf

from keras_simsiam.data import scan
from keras_simsiam.data.dataset import Dataset
from keras_simsiam.data.decoding import decode
from keras_simsiam.data.images import ImagesLike
from keras_simsiam.data.in_files import ImageFiles, as_tensor
from keras_simsiam.data.in_memory import MAX_IN_MEMORY
from keras_simsiam.data.reading import Unreadable, read_images, readable
from keras_simsiam.errors import InputError, NoSuchSplit, check_choice

_DARK = 64
"""Images of 16 bits that use at most this many of 256 levels cause a warning; 14 bits use 64."""

_SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "test", "testing"),
}
"""Names of the folder of each split, in lower case; the first that exists is read."""


def read(path: str, split: str, data_dir: str | None = None) -> Dataset:
    """Reads a split of a folder of images.

    Images in ``PATH/train/<class>/…`` and ``PATH/val/<class>/…`` are labeled. In a folder without
    train/, the images at any depth are unlabeled training images. The README of this package says
    what is skipped, and what is left out with a warning.

    Args:
        path: The folder.
        split: "train" or "validation"; see `_SPLIT_FOLDERS` for the names of their folders.
        data_dir: Not used.

    Returns:
        Images in memory if all have one size and fit, else `ImageFiles`; with labels if they are
        in class folders.

    Raises:
        InputError: If there is no such folder or split, it has no images, or more than 1% of them
            cannot be read.
    """
    root = os.path.expanduser(path)
    if not os.path.isdir(root):
        raise InputError(f"folder '{path}' does not exist")
    check_choice("split", split, _SPLIT_FOLDERS)
    folders = split_folders(os.fspath(pathlib.Path(root)))
    if split not in folders and (folders or split == "validation"):
        raise NoSuchSplit(
            f"folder '{path}' must contain a folder named {' or '.join(_SPLIT_FOLDERS[split])} "
            f"to have a {split} split"
        )
    folder, left_out = folders.get(split, root), scan.LeftOut()
    files = scan.images(folder, left_out)
    if not files:
        raise InputError(
            f"folder '{folder}' must contain images, files ending in {' '.join(scan.EXTENSIONS)}"
            + (f"; it has {left_out}" if left_out else "")
        )
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
    images, kept = _images(files)
    if len(kept) < len(files):
        lost = np.setdiff1d(np.arange(len(files)), kept)
        left_out.add("unreadable", *(os.path.relpath(files[i], folder) for i in lost))
    labels = None if labels is None else labels[kept]
    return Dataset(images, labels, classes, [files[i] for i in kept], str(left_out))


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


def _labeled(
    files: list[str], folder: str, training: str, left_out: scan.LeftOut
) -> tuple[list[str], np.ndarray | None, tuple[str, ...]]:
    """The files to keep, their labels by class folder, and the names of the classes.

    The classes are those of the training folder, so that both splits number them alike. A folder
    with no more images in class folders than beside them is unlabeled, and all files are kept.
    """
    start, canonical = len(os.path.join(folder, "")), functools.cache(scan.canonical)
    names = [file[start:] for file in files]
    beside = [name for name in names if os.sep not in name]
    if 2 * len(beside) >= len(files):
        if len(beside) < len(files):
            warnings.warn(
                f"folder '{folder}' has no labels, because {len(beside):,} of its {len(files):,} "
                f"images are beside the class folders, such as {beside[0]}",
                stacklevel=3,
            )
        return files, None, ()
    if beside:
        left_out.add("beside the class folders", *beside)
    classes = tuple(sorted(scan.subfolders(training) or scan.subfolders(folder)))
    number = {name: i for i, name in enumerate(classes)}
    kept, labels = [], []
    for file, name in zip(files, names, strict=True):
        class_name = canonical(name.split(os.sep, 1)[0])
        if class_name in number:
            kept.append(file)
            labels.append(number[class_name])
        elif os.sep in name:
            left_out.add("of classes without training images", class_name)
    if folder == training:
        empty = set(number.values()) - set(labels)
        if empty:
            left_out.add("empty class folder", *(classes[i] for i in sorted(empty)))
    return kept, np.array(labels, np.int64), classes


def _images(names: list[str]) -> tuple[ImagesLike, np.ndarray]:
    """The images, and the positions of the files that could be read."""
    paths, unreadable = as_tensor(names), Unreadable(len(names))
    found = dict(readable(names, paths, _read_to_the_end, unreadable))
    kept = np.array(sorted(found))
    _warn_if_dark([int(levels) for *_, levels in found.values()])
    names, paths = [names[i] for i in kept], tf.gather(paths, kept)
    (height, width), *others = {(int(h), int(w)) for h, w, _ in found.values()}
    if not others and height * width * 3 * len(names) <= MAX_IN_MEMORY:
        images, still = read_images(names, paths, ImageFiles.decode, (height, width), unreadable)
        return images, kept[still]
    return ImageFiles(names, unreadable), kept


def _read_to_the_end(path: tf.Tensor) -> tf.Tensor:
    """Height, width, and the number of levels that an image of 16 bits uses, int32 ``[3]``.

    The image is decoded as in training, because a header says little about a damaged file, and
    whatever is accepted here must be decoded there. Levels are of 256, and 0 for 8 bits.
    """
    contents = tf.io.read_file(path)
    image = decode(contents)
    is_deep = (tf.strings.substr(contents, 0, 4) == b"\x89PNG") & (
        tf.strings.substr(contents, 24, 1) == b"\x10"
    )
    levels = tf.cond(is_deep, lambda: tf.cast(tf.reduce_max(image), tf.int32) + 1, lambda: 0)
    return tf.concat([tf.shape(image)[:2], [levels]], axis=0)


def _warn_if_dark(levels: list[int]) -> None:
    """Warns if images of 16 bits use so little of their range that they become nearly black."""
    brightest = max(levels)
    if 0 < brightest <= _DARK:
        warnings.warn(
            f"no image of 16 bits exceeds {256 * brightest - 1:,} of 65,535. As 8 bits they use "
            f"{brightest} of 256 levels and are nearly black; scale them to the whole range",
            stacklevel=4,
        )
