"""Reads the record files that `keras_simsiam.data.packing` writes."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
from typing import NamedTuple, Self

import numpy as np
import tensorflow as tf

from keras_simsiam import documents
from keras_simsiam.config import CheckFiles
from keras_simsiam.data import record_index
from keras_simsiam.data.dataset import Dataset
from keras_simsiam.data.decoding import decode
from keras_simsiam.data.images import ImagesLike
from keras_simsiam.data.in_memory import MAX_IN_MEMORY
from keras_simsiam.data.in_records import ImageRecords
from keras_simsiam.data.reading import read_images
from keras_simsiam.data.shards import HEADER, starts
from keras_simsiam.errors import InputError, NoSuchSplit, check_choice
from keras_simsiam.pixels import Pixels

ABOUT = "records.json"
"""The file that says what the others in the folder are."""

_SPLITS = ("train", "validation")


class Form(NamedTuple):
    """What the files in records are.

    Attributes:
        pixels: Their channels, and the range of those with more than 8 bits.
        arrays: Whether some are .npy files, such as the copies of TIFF files.
    """

    pixels: Pixels = Pixels()
    arrays: bool = False

    @classmethod
    def of(cls, about: dict) -> Self:
        """What `recorded` returned; of earlier versions, ordinary files of 8 bits."""
        return cls(Pixels(**about.get("pixels", {})), about.get("arrays", False))

    def recorded(self) -> dict:
        """The entries of the file `ABOUT`."""
        if self == Form():
            return {}
        pixels = documents.plain(dataclasses.asdict(self.pixels))
        return {"pixels": pixels, "arrays": self.arrays}

    def asked(self, path: str, pixels: Pixels) -> Form:
        """The same, read as is asked for; `Pixels()` asks for nothing.

        Raises:
            InputError: If they have other channels.
        """
        channels, own = pixels.channels, self.pixels
        if pixels == Pixels() or (channels == own.channels and not pixels.high):
            return self
        if channels != own.channels and {channels, own.channels} != {1, 3}:
            raise InputError(
                f"'{path}' was packed with {own.channels} channels, and cannot be read with "
                f"{channels}"
            )
        if own.high and not pixels.high:  # with one channel and with three, all have one range
            pixels = Pixels.of(channels, (own.low[0], own.high[0]))
        return self._replace(pixels=pixels)


def read(
    path: str,
    split: str,
    data_dir: str | None = None,
    check_files: CheckFiles = "full",
    pixels: Pixels = Pixels(),  # noqa: B008 (it is frozen)
) -> Dataset:
    """Reads a split of a folder that ``python -m keras_simsiam.pack`` has written.

    Args:
        path: The folder.
        split: "train" or "validation".
        data_dir: Not used.
        check_files: Not used: all records are read once.
        pixels: See `keras_simsiam.load`; by default as they were packed.

    Returns:
        Images in memory if all have one size and fit, else `ImageRecords`; with names, and with
        labels if the folder that was packed had any.

    Raises:
        InputError: If there is no such folder or split, it has not been packed to the end, or more
            than 1% of its images cannot be read.
    """
    check_choice("split", split, _SPLITS)
    folder, about, counts = _opened(path)
    if split not in counts:
        raise NoSuchSplit(f"'{path}' has no {split} split; it has {', '.join(counts)}")
    found = index(folder, split, counts[split])
    classes = tuple(about.get("class_names") or ())
    labels = found.numbers[:, 0].astype(np.int64) if classes else None
    form = Form.of(about).asked(path, pixels)
    image = functools.partial(image_of, form=form)
    channels = form.pixels.channels
    images: ImagesLike = ImageRecords(found.shards, image, found.unreadable, channels)
    names = found.names
    sizes = found.numbers[:, 1:]
    height, width = sizes[0].tolist() if len(sizes) else (0, 0)
    one_size = bool((sizes == (height, width)).all())
    if one_size and 0 < len(sizes) * height * width * channels <= MAX_IN_MEMORY:
        shards, unreadable, shape = found.shards, found.unreadable, (height, width, channels)
        images, kept = read_images(
            shards, shards.places, lambda p: image(shards.record(p)), shape, unreadable
        )
        names = [names[i] for i in kept]
        labels = None if labels is None else labels[kept]
    return Dataset(images, labels, classes, names=names, pixels=form.pixels)


def look(path: str, count: int) -> tuple[int, int]:
    """How many training images a folder has, and the median of the shorter sides of some.

    TensorFlow computes nothing, so that its devices can still be chosen.

    Args:
        path: The folder, see `read`.
        count: About how many images to look at.

    Raises:
        InputError: If it is no such folder, or it has no training images.
    """
    folder, _, counts = _opened(path)
    numbers = counts.get("train", [])
    if not sum(numbers):
        raise InputError(f"'{path}' must have training images")
    chosen = range(0, len(numbers), max(1, len(numbers) // count))
    sides = []
    for i in chosen:
        file = file_of(folder, "train", i, len(numbers))
        sides += _shorter_sides(file, min(numbers[i], -(-count // len(chosen))))
    return sum(numbers), int(np.median(sides)) if sides else 224


def _shorter_sides(file: pathlib.Path, count: int) -> list[int]:
    """The shorter sides of the first images in a file, without those that cannot be read."""
    found = []
    for start in starts(os.fspath(file), count)[0].tolist():
        # Of a damaged record protobuf may raise its own error, or none.
        with file.open("rb") as opened, contextlib.suppress(Exception):
            opened.seek(start)
            length = int.from_bytes(opened.read(HEADER)[:8], "little")
            features = tf.train.Example.FromString(opened.read(length)).features.feature
            found.append(min(features[key].int64_list.value[0] for key in ("height", "width")))
    return found


def _opened(path: str) -> tuple[pathlib.Path, dict, dict[str, list[int]]]:
    """A packed folder, what is said about it, and `counts_of` that."""
    folder = pathlib.Path(path).expanduser()
    if not (folder / ABOUT).is_file():
        raise InputError(
            f"'{path}' must be a folder that python -m keras_simsiam.pack has written; "
            f"it has no {ABOUT}"
        )
    about = documents.read_json(folder / ABOUT)
    counts = counts_of(about)
    if counts is None:
        raise InputError(
            f"'{path}' has not been packed to the end; the same command of pack goes on"
        )
    return folder, about, counts


def counts_of(about: dict) -> dict[str, list[int]] | None:
    """The number of images in each file of each split; None if packing has not come to its end."""
    counts = about.get("images")
    return counts if isinstance(counts, dict) else None


def file_of(folder: pathlib.Path, split: str, number: int, of: int) -> pathlib.Path:
    """The path of a record file of a split."""
    return folder / f"{split}-{number:05}-of-{of:05}.tfrecord"


def index(folder: pathlib.Path, split: str, counts: list[int]) -> record_index.Found:
    """The records of a split, which are all read once.

    Args:
        folder: Their folder.
        split: The split.
        counts: The number of images in each file.

    Raises:
        InputError: If more than 1% cannot be read.
    """
    files = [os.fspath(file_of(folder, split, i, len(counts))) for i in range(len(counts))]
    return record_index.find(files, counts, False, ("label", "height", "width", "file_name"))


def image_of(record: tf.Tensor, form: Form) -> tf.Tensor:
    """The image in a record, uint8 ``[H, W, C]``."""
    wanted = {"image": tf.io.FixedLenFeature([], tf.string)}
    return decode(tf.io.parse_single_example(record, wanted)["image"], *form)
