"""Tiny ImageNet: 200 classes of ImageNet at 64×64 pixels (Stanford CS231n).

`read` takes the official archive, a zip of the same layout with fewer classes, or an extracted
folder. Without one, TensorFlow Datasets downloads and stores it with the builder `TinyImagenet`.
"""

from __future__ import annotations

import collections
import pathlib
import zipfile
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_simsiam.data.dataset import Dataset
from keras_simsiam.data.decoding import decode, read_images
from keras_simsiam.errors import InputError, check_choice

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
SPLITS = ("train", "validation", "test")
_SIDE = (64, 64)

File = pathlib.Path | zipfile.Path
"""A file or folder, on disk or in a zip."""


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
        self._root, self._described = _open(pathlib.Path(path))
        for needed in ("wnids.txt", "val/val_annotations.txt", "train"):
            if not (self._root / needed).exists():
                raise InputError(
                    f"{self._described} must contain wnids.txt, train and val/val_annotations.txt; "
                    f"it has no {needed}"
                )
        self.wnids = (self._root / "wnids.txt").read_text().split()
        if not self.wnids:
            raise InputError(f"{self._described}: wnids.txt must name the classes; it is empty")
        self.class_names = self._read_names()

    def examples(self, split: str) -> list[tuple[str, int, File]]:
        """``(name, label, file)`` of each image of a split, in a fixed order.

        Labels are -1 in "test".
        """
        if split == "train":
            return [
                (file.name, label, file)
                for label, wnid in enumerate(self.wnids)
                for file in _listed(self._root / f"train/{wnid}/images")
            ]
        if split == "validation":
            labels = {wnid: label for label, wnid in enumerate(self.wnids)}
            lines = (self._root / "val/val_annotations.txt").read_text().splitlines()
            rows = [line.split("\t") for line in lines if line.strip()]
            wrong = [row[:2] for row in rows if len(row) < 2 or row[1] not in labels]
            if wrong:
                raise InputError(
                    f"{self._described}: each line of val_annotations.txt must have a class of "
                    f"wnids.txt; got {wrong[0]}"
                )
            return [(row[0], labels[row[1]], self._root / f"val/images/{row[0]}") for row in rows]
        return [(file.name, -1, file) for file in _listed(self._root / "test/images")]

    def _read_names(self) -> tuple[str, ...]:
        """The first word of each class, with its id if two classes share it."""
        words, file = {}, self._root / "words.txt"
        for line in file.read_text().splitlines() if file.exists() else ():
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
    names, labels, files = zip(*examples, strict=True)
    contents = tf.constant([_contents(file) for file in files])
    images, kept = read_images(names, contents, decode, _SIDE)
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
        for name, label, file in archive.examples(split):
            yield name, {"image": file.open("rb"), "label": label, "file": name}


def _open(path: pathlib.Path) -> tuple[File, str]:
    """The folder that contains wnids.txt, in a zip or on disk, and its name for messages."""
    if not path.exists():
        raise InputError(
            f"data_dir must be tiny-imagenet-200.zip or its extracted folder; '{path}' does not "
            "exist"
        )
    described = f"data_dir '{path}'"
    try:
        root: File = path if path.is_dir() else zipfile.Path(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, OSError) as e:
        raise InputError(
            f"{described} is not a readable zip ({e}). If it is the official "
            "tiny-imagenet-200.zip, check that it has all of its 248,100,043 bytes"
        ) from e
    folders = (f for f in (root, *root.iterdir()) if (f / "wnids.txt").exists())
    return next(folders, root), described


def _listed(folder: File) -> list[File]:
    """The files of a folder, sorted by name; none if there is no such folder."""
    if not folder.exists():
        return []
    return sorted((f for f in folder.iterdir() if f.is_file()), key=lambda f: f.name)


def _contents(file: File) -> bytes:
    """The bytes of a file; empty, so that decoding fails, if it is missing or damaged."""
    try:
        return file.read_bytes()
    except (OSError, KeyError, zipfile.BadZipFile):
        return b""
