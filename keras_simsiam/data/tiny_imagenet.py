"""Tiny ImageNet: 200 classes of ImageNet at 64×64 pixels (Stanford CS231n).

`read` takes the official archive, a zip of the same layout with fewer classes, or an extracted
folder. Without one, TensorFlow Datasets downloads and stores it with the builder `TinyImagenet`.
"""

from __future__ import annotations

import collections
import functools
import pathlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_simsiam.data import archives
from keras_simsiam.data.archives import UNREADABLE, Folder, Zip, is_file_name
from keras_simsiam.data.dataset import Dataset
from keras_simsiam.data.decoding import decode
from keras_simsiam.data.reading import read_images
from keras_simsiam.errors import InputError, check_choice, shown

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
SPLITS = ("train", "validation", "test")
_SIDE = (64, 64)

Opener = Callable[[], BinaryIO]
"""Opens a file, on disk or in a zip."""

_MAX_IMAGE = 2**18
"""The largest image file, in bytes. One of 64×64 pixels has 2 KB."""

_MAX_TEXT = 2**24
"""The largest text file; words.txt has 2.6 MB."""


class Archive:
    """Tiny ImageNet on disk, zipped or extracted, with all of its classes or fewer.

    Attributes:
        wnids: WordNet ids of the classes, in the order of wnids.txt; labels are indices into it.
        class_names: Their human-readable names, all different.

    Args:
        path: A zip or a folder, with wnids.txt at the top or one folder below.

    Raises:
        InputError: If there is no such path, or it is not Tiny ImageNet.
    """

    def __init__(self, path: str | pathlib.Path):
        self._described = f"data_dir '{path}'"
        self._tree = _tree(pathlib.Path(path), self._described)
        for needed in ("wnids.txt", "val/val_annotations.txt", "train"):
            if not self._tree.has(needed):
                raise InputError(
                    f"{self._described} must contain wnids.txt, train and val/val_annotations.txt; "
                    f"it has no {needed}"
                )
        self.wnids = self._text("wnids.txt").split()
        if not self.wnids:
            raise InputError(f"{self._described}: wnids.txt must name the classes; it is empty")
        for wnid, count in collections.Counter(self.wnids).items():
            if count > 1 or not is_file_name(wnid):
                raise InputError(
                    f"{self._described}: wnids.txt must name each class once, by the name of its "
                    f"folder; got {shown(wnid)}{' twice' if count > 1 else ''}"
                )
        self.class_names = self._read_names()

    def examples(self, split: str) -> list[tuple[str, int, Opener]]:
        """``(name, label, opener)`` for each image of a split, in a fixed order.

        Labels are -1 in "test".

        Raises:
            InputError: If the annotations of "validation" cannot be read.
        """
        if split == "train":
            return [
                example
                for label, wnid in enumerate(self.wnids)
                for example in self._listed(f"train/{wnid}/images", label)
            ]
        if split == "test":
            return self._listed("test/images", -1)
        labels = {wnid: label for label, wnid in enumerate(self.wnids)}
        lines = self._text("val/val_annotations.txt").splitlines()
        rows = [line.split("\t") for line in lines if line.strip()]
        for row in rows:
            if len(row) < 2 or row[1] not in labels or not is_file_name(row[0]):
                raise InputError(
                    f"{self._described}: each line of val_annotations.txt must have a file of "
                    f"val/images and a class of wnids.txt; got {shown(row[:2])}"
                )
        return [(row[0], labels[row[1]], self._opener(f"val/images/{row[0]}")) for row in rows]

    def _listed(self, folder: str, label: int) -> list[tuple[str, int, Opener]]:
        names = sorted(self._tree.names(folder))
        return [(name, label, self._opener(f"{folder}/{name}")) for name in names]

    def _opener(self, name: str) -> Opener:
        return functools.partial(self._tree.open, name)

    def _text(self, name: str) -> str:
        try:
            return archives.read_bounded(self._opener(name), _MAX_TEXT).decode("utf-8-sig")
        except UNREADABLE as e:
            raise InputError(f"{self._described}: cannot read {name} ({e})") from e

    def _read_names(self) -> tuple[str, ...]:
        """The first name of each class in words.txt, with its WordNet id if it is not unique."""
        words = {}
        for line in self._text("words.txt").splitlines() if self._tree.has("words.txt") else ():
            wnid, _, text = line.partition("\t")
            words[wnid] = text.split(",")[0].strip()
        names = {wnid: words.get(wnid) or wnid for wnid in self.wnids}
        count = collections.Counter(names.values())
        return tuple(n if count[n] == 1 else f"{n} ({wnid})" for wnid, n in names.items())


def read(name: str, split: str, data_dir: str | None = None) -> Dataset:
    """Reads a split into memory.

    Args:
        name: Not used.
        split: "train", "validation" or "test".
        data_dir: See `Archive`; if None, TensorFlow Datasets downloads and stores it.

    Returns:
        Images uint8 ``[N, 64, 64, 3]``, labels (None for "test") and class names.

    Raises:
        InputError: If the path is not Tiny ImageNet, the split is unknown or empty, or more than
            1% of its images cannot be read.
    """
    if data_dir is None:
        from keras_simsiam.data import tfds_source  # which imports this module

        return tfds_source.read("tiny_imagenet", split)
    check_choice("split", split, SPLITS)
    archive = Archive(data_dir)
    examples = archive.examples(split)
    if not examples:
        raise InputError(f"data_dir '{data_dir}' must contain {split} images; it has none")
    names, labels, openers = zip(*examples, strict=True)
    contents = tf.constant([_contents(opener) for opener in openers])
    images, kept = read_images(names, contents, decode, (*_SIDE, 3))
    return Dataset(images, None if split == "test" else np.array(labels)[kept], archive.class_names)


class TinyImagenet(tfds.core.GeneratorBasedBuilder):
    """Builds Tiny ImageNet for TensorFlow Datasets."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "The archive of CS231n."}

    def _info(self) -> tfds.core.DatasetInfo:
        # Not `dataset_info_from_configs`: it takes this folder's README.md for the description.
        return tfds.core.DatasetInfo(
            builder=self,
            description="200 classes of ImageNet at 64x64 pixels: 500 training, 50 validation and "
            "50 unlabeled test images per class.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(*_SIDE, 3), encoding_format="jpeg"),
                    # The names are read from the archive; see _split_generators.
                    "label": tfds.features.ClassLabel(),
                    "file": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="http://cs231n.stanford.edu",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        archive = Archive(dl_manager.download(URL))
        self.info.features["label"].names = archive.class_names
        return {split: self._generate_examples(archive, split) for split in SPLITS}

    def _generate_examples(self, archive: Archive, split: str) -> Iterator[tuple[str, dict]]:
        for name, label, opener in archive.examples(split):
            yield name, {"image": opener(), "label": label, "file": name}


def _tree(path: pathlib.Path, described: str) -> Folder | Zip:
    if path.is_dir():
        return Folder(path, "wnids.txt")
    if not path.is_file():
        what = "is neither" if path.exists() else "does not exist"
        raise InputError(
            f"data_dir must be tiny-imagenet-200.zip or its extracted folder; '{path}' {what}"
        )
    return Zip(path, "wnids.txt", described)


def _contents(opener: Opener) -> bytes:
    """The bytes of an image; empty, so that decoding fails, if they cannot be read."""
    try:
        return archives.read_bounded(opener, _MAX_IMAGE)
    except UNREADABLE:
        return b""
