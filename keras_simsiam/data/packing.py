"""Writes a folder of images into record files, from which they are read as from the folder."""

from __future__ import annotations

import itertools
import os
import pathlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import tensorflow as tf

from keras_simsiam import datasets, documents
from keras_simsiam.config import CheckFiles
from keras_simsiam.data import fingerprint, records
from keras_simsiam.data.copies import readable_paths
from keras_simsiam.data.dataset import load
from keras_simsiam.data.decoding import decode, examine
from keras_simsiam.data.folder import split_folders
from keras_simsiam.data.paths import Paths
from keras_simsiam.data.progress import Progress
from keras_simsiam.data.reading import Unreadable, readable
from keras_simsiam.data.shards import starts
from keras_simsiam.errors import CannotWrite, InputError, NoSuchSplit, Terminated, shown
from keras_simsiam.files import LOCK, claimed, why_full, write_json, written_atomically
from keras_simsiam.pixels import Pixels
from keras_simsiam.preprocessing import shorter_side

_FORMAT = 1
_TOGETHER = 32
_ARRAYS = (".tif", ".tiff", ".npy")
_GO_ON = "the same command goes on"


@dataclass(frozen=True)
class Packing:
    """How images are written.

    Attributes:
        image_size: Larger images are shrunk to this shorter side in pixels; None for none.
        quality: JPEG quality of those.
        shard_size: Images in a file.
    """

    image_size: int | None = None
    quality: int = 95
    shard_size: int = 1000


@dataclass(frozen=True, eq=False)
class _Split:
    """A split to write: its files, their labels (-1 for none), and their names in the folder."""

    paths: Paths
    labels: np.ndarray
    root: str

    def name(self, position: int) -> str:
        return os.path.relpath(self.paths[position], self.root)


def pack(
    dataset: str,
    output: str,
    how: Packing,
    check_files: CheckFiles = "full",
    channels: int = 3,
) -> dict[str, int]:
    """Writes a folder of images into record files; goes on where an earlier call was interrupted.

    Args:
        dataset: "folder:PATH".
        output: The folder to write.
        how: How.
        check_files: See `keras_simsiam.load`.
        channels: See `keras_simsiam.Pixels`.

    Returns:
        The number of images of each split.

    Raises:
        InputError: If the images are not in files, or the output is of others.
        CannotWrite: If the disk is full. What is finished stays.
    """
    source, path = datasets.find(dataset)
    if source.module != "folder":
        raise InputError(f"dataset must be folder:PATH, to be packed; got '{dataset}'")
    folder = pathlib.Path(output).expanduser()
    with claimed(folder):
        splits, classes, form = _splits(dataset, os.path.expanduser(path), check_files, channels)
        _check_shrinkable(how, form.pixels)
        about = {
            "format": _FORMAT,
            "settings": asdict(how),
            "fingerprints": {name: _fingerprint(split) for name, split in splits.items()},
            "class_names": classes,
            **form.recorded(),
        }
        _check_same(folder, about)
        try:
            write_json(folder / records.ABOUT, about)
            counts = {name: _write(folder, name, s, how, form) for name, s in splits.items()}
        except KeyboardInterrupt as e:
            raise Terminated.of(e, _GO_ON) from None
        except Exception as e:
            if (full := why_full(e)) is None:
                raise
            raise CannotWrite(f"cannot write to '{output}': {full}; make room, and {_GO_ON}") from e
        for name in splits:  # reads all of it, as it will be read
            records.index(folder, name, counts[name])
        write_json(folder / records.ABOUT, {**about, "images": counts})
    return {name: sum(numbers) for name, numbers in counts.items()}


def _splits(
    dataset: str, root: str, check_files: CheckFiles, channels: int
) -> tuple[dict[str, _Split], list[str], records.Form]:
    """The splits that there are, the names of the classes, and what the files are."""
    splits: dict[str, _Split] = {}
    classes: list[str] = []
    pixels, arrays = Pixels(channels), False
    for name in ("train", "validation"):
        try:
            found = load(dataset, name, None, check_files, pixels)
        except NoSuchSplit:
            continue
        assert found.paths is not None
        pixels = found.pixels  # of the training images
        paths = Paths.of(found.paths)
        arrays = arrays or bool(paths.ending_with(_ARRAYS))
        labels = np.full(len(paths), -1) if found.labels is None else found.labels
        splits[name] = _Split(paths, labels, split_folders(root).get(name, root))
        classes = [*found.class_names] or classes
    return splits, classes, records.Form(pixels, arrays)


def _check_shrinkable(how: Packing, pixels: Pixels) -> None:
    """Raises InputError if images that cannot be JPEG files are to be shrunk to such."""
    if how.image_size is not None and (pixels.high or pixels.channels not in (1, 3)):
        raise InputError(
            "image_size must not be given for files of more than 8 bits, or of other than 1 or 3 "
            f"channels, which are packed as they are; got {how.image_size}"
        )


def _fingerprint(split: _Split) -> str:
    labels = fingerprint.of_array(split.labels.astype(np.int64))
    return fingerprint.of_parts([fingerprint.of_files(split.paths), labels])


def _check_same(folder: pathlib.Path, about: dict) -> None:
    """Raises InputError if there is anything else in a folder than what is to be written to it."""
    if not (folder / records.ABOUT).exists():
        others = [name for name in os.listdir(folder) if name != LOCK]
        if others:
            raise InputError(
                f"'{folder}' must be empty or from an earlier pack; it has {shown(others[0])}"
            )
        return
    before = documents.read_json(folder / records.ABOUT)
    for key, value in about.items():
        if before.get(key) != value:
            raise InputError(
                f"'{folder}' is packed from other images or settings: its {key} are "
                f"{shown(before.get(key))}, not {shown(value)}; choose another folder"
            )


def _write(
    folder: pathlib.Path, name: str, split: _Split, how: Packing, form: records.Form
) -> list[int]:
    """Writes the files of a split that are missing; returns the number of images in each."""
    total, size = len(split.paths), how.shard_size
    shards = -(-total // size)
    files = [records.file_of(folder, name, i, shards) for i in range(shards)]
    missing = np.repeat([not file.exists() for file in files], size)[:total]
    positions = np.flatnonzero(missing)
    written = _records(split, positions, how, form) if len(positions) else iter(())
    for i, group in itertools.groupby(written, lambda found: found[0] // size):
        with (
            written_atomically(files[i]) as partial,
            tf.io.TFRecordWriter(os.fspath(partial)) as writer,
        ):
            for _, record in group:
                writer.write(record)
    # Images that have become unreadable since they were checked are in none.
    return [len(starts(os.fspath(file), size)[0]) for file in files]


def _records(
    split: _Split, positions: np.ndarray, how: Packing, form: records.Form
) -> Iterator[tuple[int, bytes]]:
    """Yields ``(position, record)`` of the images at positions, but for unreadable ones."""
    paths = split.paths.take(positions)
    stored, _ = readable_paths(paths)
    say = Progress("packed", len(positions))

    def read(i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _stored(tf.io.read_file(stored.at(i)), how, form)

    unreadable = Unreadable(len(split.paths))
    items = tf.range(len(positions), dtype=tf.int64)
    for rows, (contents, sides) in readable(paths, items, read, unreadable, _TOGETHER):
        for i, image, (height, width) in zip(rows, contents, sides.tolist(), strict=True):
            position = int(positions[i])
            numbers = {"label": int(split.labels[position]), "height": height, "width": width}
            yield position, _example(image, split.name(position), numbers)
        say(int(rows[-1]) + 1)


def _stored(contents: tf.Tensor, how: Packing, form: records.Form) -> tuple[tf.Tensor, tf.Tensor]:
    """The file's bytes, or those of a smaller JPEG; and height and width, int32 ``[2]``.

    Fails if the file cannot be decoded.
    """
    if how.image_size is None:
        return contents, examine(contents, *form)
    image = decode(contents, *form)
    sides, size = tf.shape(image)[:2], how.image_size

    def smaller() -> tuple[tf.Tensor, tf.Tensor]:
        shrunk = tf.cast(tf.round(shorter_side(image, size)), tf.uint8)
        return tf.io.encode_jpeg(shrunk, quality=how.quality), tf.shape(shrunk)[:2]

    return tf.cond(tf.reduce_min(sides) > size, smaller, lambda: (contents, sides))


def _example(image: bytes, name: str, numbers: dict[str, int]) -> bytes:
    features = {
        key: tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        for key, value in numbers.items()
    }
    for key, value in {"image": image, "file_name": os.fsencode(name)}.items():
        features[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString()
