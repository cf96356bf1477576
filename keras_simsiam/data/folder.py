"""A user's own folder of images, in class folders or unlabeled."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from keras_simsiam.data.dataset import Dataset
from keras_simsiam.data.decoding import decode, read_images, readable
from keras_simsiam.data.images import ImagesLike
from keras_simsiam.data.in_files import ImageFiles
from keras_simsiam.data.in_memory import MAX_IN_MEMORY
from keras_simsiam.errors import InputError, NoSuchSplit, check_choice

EXTENSIONS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")

_SPLIT_FOLDERS = {"train": ("train",), "validation": ("val", "validation", "test")}


def read(path: str, split: str, data_dir: str | None = None) -> Dataset:
    """Reads a split of a folder of images.

    Images in ``PATH/train/<class>/…`` and ``PATH/val/<class>/…`` are labeled. In a folder without
    train/, all images at any depth are unlabeled training images.

    Args:
        path: The folder.
        split: "train" or "validation" (the val, validation or test folder).
        data_dir: Not used.

    Returns:
        Images in memory if all have one size and fit, else `ImageFiles`; with labels if they lie
        in class folders.

    Raises:
        InputError: If there is no such folder, split or image, or more than 1% of the images
            cannot be read.
    """
    root = pathlib.Path(path).expanduser()
    if not root.is_dir():
        raise InputError(f"folder '{path}' does not exist")
    check_choice("split", split, _SPLIT_FOLDERS)
    found = [root / name for name in _SPLIT_FOLDERS[split] if (root / name).is_dir()]
    if not found and (
        split == "validation" or any((root / n).is_dir() for n in _SPLIT_FOLDERS["validation"])
    ):
        raise NoSuchSplit(
            f"folder '{path}' must contain a folder named {' or '.join(_SPLIT_FOLDERS[split])} "
            f"to have a {split} split"
        )
    folder = found[0] if found else root
    # Not hidden files, such as macOS's "._a.jpg".
    named = (f for f in folder.rglob("[!.]*") if f.suffix.lower() in EXTENSIONS)
    files = sorted(f for f in named if f.is_file())
    if not files:
        raise InputError(
            f"folder '{folder}' must contain images, files ending in {' '.join(EXTENSIONS)}"
        )
    labels, classes = _labels(folder, files) if found else (None, ())
    images, kept = _images(files)
    return Dataset(images, None if labels is None else labels[kept], classes)


def _labels(
    folder: pathlib.Path, files: list[pathlib.Path]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels by class folder; None if any file is in no class folder.

    The classes are those of the training folder, so that both splits number them alike.
    """
    parts = [file.relative_to(folder).parts for file in files]
    if any(len(p) == 1 for p in parts):
        return None, ()
    train = folder.parent / _SPLIT_FOLDERS["train"][0]
    source = train if train.is_dir() else folder
    classes = tuple(sorted(d.name for d in source.iterdir() if d.is_dir()))
    unknown = sorted({p[0] for p in parts} - set(classes))
    if unknown:
        raise InputError(
            f"folder '{folder}' must have the classes of '{train}'; got class '{unknown[0]}'"
        )
    return np.searchsorted(classes, [p[0] for p in parts]), classes


def _images(files: list[pathlib.Path]) -> tuple[ImagesLike, np.ndarray]:
    """The images, and the positions of the files that could be read."""
    names = [str(f) for f in files]
    shapes = dict(readable(names, tf.constant(names), _checked_shape))
    kept = np.array(sorted(shapes))
    names = [names[i] for i in kept]
    (height, width), *others = {tuple(shape.tolist()) for shape in shapes.values()}
    if not others and height * width * 3 * len(names) <= MAX_IN_MEMORY:
        images, _ = read_images(names, tf.constant(names), ImageFiles.decode, (height, width))
        return images, kept
    return ImageFiles(names), kept


def _checked_shape(name: tf.Tensor) -> tf.Tensor:
    """Height and width, int32 ``[2]``, of an image, read to its end."""
    contents = tf.io.read_file(name)

    def of_jpeg() -> tf.Tensor:
        # Decoding at an eighth of the size costs a fraction, and still fails on a truncated file.
        with tf.control_dependencies([tf.io.decode_jpeg(contents, ratio=8)]):
            return tf.image.extract_jpeg_shape(contents)[:2]

    return tf.cond(tf.io.is_jpeg(contents), of_jpeg, lambda: tf.shape(decode(contents))[:2])
