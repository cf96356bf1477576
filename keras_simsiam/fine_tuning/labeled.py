"""Images with labels: those to learn from, and others to measure the accuracy on."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
from sklearn.model_selection import StratifiedKFold

from keras_simsiam.collection.sources import Source, find_source
from keras_simsiam.data import ImageFiles
from keras_simsiam.errors import InputError, NoSuchSplit, shown
from keras_simsiam.preprocessing import Preprocessing

_FOLDS = 5


class Labeled(NamedTuple):
    """Images with labels.

    Attributes:
        train: The images to learn from, each with a label.
        test: The images to measure the accuracy on, each with a label; None if there are none.
        class_names: Names of the classes, sorted.
    """

    train: Source
    test: Source | None
    class_names: tuple[str, ...]

    def seen_by(self, preprocessing: Preprocessing) -> tuple[Self, Preprocessing]:
        """The images as a network was trained on them, see `Source.seen_by`.

        Files of more than 8 bits whose range the network does not know have that of the training
        images, which the second value has, too.
        """
        train = self.train.seen_by(preprocessing)
        if isinstance(train.images, ImageFiles):
            pixels = train.images.pixels
            preprocessing = preprocessing.replace(low=pixels.low, high=pixels.high)
        test = self.test and self.test.seen_by(preprocessing)
        return self._replace(train=train, test=test), preprocessing

    def numbers(self, source: Source) -> np.ndarray:
        """The class number of each image, int64 ``[N]``."""
        number = {name: i for i, name in enumerate(self.class_names)}
        return np.array([number[label] for label in source.labels or ()], np.int64)


def find_labeled(
    dataset: str | os.PathLike,
    labels: Mapping[str, str] | None = None,
    data_dir: str | None = None,
) -> Labeled:
    """Images with labels.

    Args:
        dataset: "folder:PATH" or a folder, or the name of another dataset.
        labels: Names of classes by the names of images in the folder. If None, the images of the
            folders ``train/<class>/`` are to learn from, and those of ``val/<class>/`` to test on;
            of another dataset, those of its splits.
        data_dir: See `keras_simsiam.load`.

    Raises:
        InputError: If there are no labels, of fewer than two classes, or of images that are not
            there.
    """
    source = find_source(dataset, "train", data_dir)
    train: Source | None
    if labels is not None:
        train, test = _chosen(source, labels), None
    elif source.splits is not None:
        train, test = (_part(source, split) for split in ("train", "validation"))
    else:
        train, test = source, _other(os.fspath(dataset), data_dir)
    if train is None or not any(train.labels or ()):
        raise InputError(
            f"'{source.place}' must have labels, images in train/<class>/ or --labels FILE.csv; "
            "it has none"
        )
    classes = tuple(sorted({*(train.labels or ())}))
    if len(classes) < 2:
        raise InputError(f"labels must have at least two classes; got {shown([*classes])}")
    unknown = sorted({*((test and test.labels) or ())} - {*classes})
    if unknown:
        raise InputError(
            "the classes of the test images must be among those of the training images; "
            f"got {shown(unknown[0])}"
        )
    return Labeled(train, test, classes)


def _chosen(source: Source, labels: Mapping[str, str]) -> Source:
    known = {*source.names}
    missing = [name for name in labels if name not in known]
    if missing:
        raise InputError(
            f"labels must be of images in '{source.place}'; {len(missing):,} of {len(labels):,} "
            f"are not there, such as {shown(missing[0])}"
        )
    return source.only([*labels]).labeled([*labels.values()])


def _part(source: Source, split: str) -> Source | None:
    """The labeled images of a split of a folder."""
    assert source.splits is not None
    given = zip(source.names, source.splits, source.labels or (), strict=False)
    names = [name for name, of, label in given if of == split and label]
    return source.only(names) if names else None


def _other(dataset: str, data_dir: str | None) -> Source | None:
    """The labeled test images of a dataset that is no folder."""
    if os.path.isdir(dataset) or dataset.startswith("folder:"):
        return None
    try:
        found = find_source(dataset, "validation", data_dir)
    except NoSuchSplit:
        return None
    return found if any(found.labels or ()) else None


def folds(truth: np.ndarray, seed: int) -> list[np.ndarray]:
    """Which images to test on in turn, learning from all others: at most five parts.

    Each has about the same share of each class. An image that is the only one of its class is in
    none.

    Args:
        truth: Class numbers, int ``[N]``.
        seed: Seed of the choice.

    Returns:
        Rows of each part, ascending.

    Raises:
        InputError: If no class has two images.
    """
    counts = np.bincount(truth)
    several = np.flatnonzero(counts[truth] > 1)
    if not len(several):
        raise InputError("labels must include a class with at least two images")
    parts = StratifiedKFold(min(_FOLDS, int(counts.max())), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class of fewer images than parts is not in all of them
        return [several[rows] for _, rows in parts.split(several, truth[several])]
