"""Tiny ImageNet: 200 classes of ImageNet at 64×64 pixels (Stanford CS231n).

`TinyImagenet` downloads and keeps it as a TensorFlow Datasets builder; `read` takes the same
archive, a zip of its layout with fewer classes, or its extracted tree from the disk.
"""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_simsiam.data.decoding import decode, read_images
from keras_simsiam.errors import InputError

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
SPLITS = ("train", "validation", "test")
_SIDE = (64, 64)


class Archive:
    """Tiny ImageNet on the disk, zipped or extracted, with all its classes or fewer.

    Attributes:
        wnids: WordNet ids of the classes, in the order of wnids.txt; labels count these.
        class_names: Their human names, each name once.

    Args:
        path: A zip, or a folder; wnids.txt may lie in a folder inside it.

    Raises:
        InputError: If there is nothing there, or something that is not Tiny ImageNet.
    """

    def __init__(self, path: str | pathlib.Path):
        self._root, self._described = _open(pathlib.Path(path))
        for needed in ("wnids.txt", "val/val_annotations.txt", "train"):
            if not self._at(needed).exists():
                raise InputError(
                    f"{self._described} lacks {needed}, so it is not Tiny ImageNet: it must hold "
                    "wnids.txt, train/ and val/ with val_annotations.txt"
                )
        self.wnids = self._at("wnids.txt").read_text().split()
        if not self.wnids:
            raise InputError(f"{self._described}: wnids.txt names no class")
        self.class_names = self._read_names()

    def examples(self, split: str) -> list[tuple[str, int, object]]:
        """``(name, label, file)`` of each image of a split, in a fixed order.

        The label is -1 in "test". A file has ``read_bytes()``.
        """
        if split == "train":
            return [
                (file.name, label, file)
                for label, wnid in enumerate(self.wnids)
                for file in _listed(self._at(f"train/{wnid}/images"))
            ]
        if split == "validation":
            labels = {wnid: label for label, wnid in enumerate(self.wnids)}
            lines = self._at("val/val_annotations.txt").read_text().splitlines()
            rows = [line.split("\t") for line in lines if line.strip()]
            wrong = [row[:2] for row in rows if len(row) < 2 or row[1] not in labels]
            if wrong:
                raise InputError(
                    f"{self._described}: val_annotations.txt has {wrong[0]}, whose class is not "
                    "in wnids.txt"
                )
            return [(row[0], labels[row[1]], self._at(f"val/images/{row[0]}")) for row in rows]
        return [(file.name, -1, file) for file in _listed(self._at("test/images"))]

    def _at(self, name: str):
        path = self._root
        for part in name.split("/"):
            path = path / part
        return path

    def _read_names(self) -> tuple[str, ...]:
        """The first word of each class, with its id where two classes share it."""
        words = {}
        if self._at("words.txt").exists():
            for line in self._at("words.txt").read_text().splitlines():
                wnid, _, text = line.partition("\t")
                words[wnid] = text.split(",")[0].strip()
        names = [words.get(wnid) or wnid for wnid in self.wnids]
        return tuple(
            name if names.count(name) == 1 else f"{name} ({wnid})"
            for name, wnid in zip(names, self.wnids, strict=True)
        )


def read(
    path: str | pathlib.Path, split: str
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Reads a split into memory.

    Args:
        path: See `Archive`.
        split: "train", "validation" or "test".

    Returns:
        Images uint8 ``[N, 64, 64, 3]``, labels int64 ``[N]`` (None for "test"), class names.

    Raises:
        InputError: If the path is no Tiny ImageNet, lacks the split, or more than 1% of its
            images cannot be read.
    """
    archive = Archive(path)
    examples = archive.examples(split)
    if not examples:
        raise InputError(f"Tiny ImageNet at '{path}' has no {split} images")
    names, labels, files = zip(*examples, strict=True)
    contents = tf.constant([_contents(file) for file in files])
    images, kept = read_images(names, contents, decode, _SIDE)
    return images, None if split == "test" else np.array(labels)[kept], archive.class_names


class TinyImagenet(tfds.core.GeneratorBasedBuilder):
    """Tiny ImageNet as TensorFlow Datasets keeps it."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "The archive of CS231n."}

    def _info(self) -> tfds.core.DatasetInfo:
        # Not `dataset_info_from_configs`: it takes this folder's README.md for the description.
        return tfds.core.DatasetInfo(
            builder=self,
            description="200 classes of ImageNet at 64x64 pixels: 500 training, 50 validation and "
            "50 unlabelled test images a class.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(*_SIDE, 3), encoding_format="jpeg"),
                    # The names are known once the archive is there; see _split_generators.
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


def _open(path: pathlib.Path):
    """The folder that holds wnids.txt, in a zip or on the disk, and what to call it."""
    if not path.exists():
        raise InputError(
            f"data_dir '{path}' does not exist; give tiny-imagenet-200.zip or its extracted folder"
        )
    described = f"data_dir '{path}'"
    if path.is_dir():
        root = path
        if not any(path.iterdir()):
            raise InputError(f"{described} is empty; give Tiny ImageNet's zip or extracted folder")
    else:
        try:
            root = zipfile.Path(zipfile.ZipFile(path))
        except (zipfile.BadZipFile, OSError) as e:
            raise InputError(
                f"{described} is no readable zip ({e}); is the download complete? The official "
                "tiny-imagenet-200.zip has 248,100,043 bytes"
            ) from e
    if (root / "wnids.txt").exists():
        return root, described
    inside = [child for child in root.iterdir() if (child / "wnids.txt").exists()]
    return (inside[0] if inside else root), described


def _listed(folder) -> list:
    """The files of a folder by name; none where there is no folder."""
    if not folder.exists():
        return []
    return sorted((f for f in folder.iterdir() if f.is_file()), key=lambda f: f.name)


def _contents(file) -> bytes:
    """The bytes of a file; none, which no decoder takes, where it is missing or damaged."""
    try:
        return file.read_bytes()
    except (OSError, KeyError, zipfile.BadZipFile):
        return b""
