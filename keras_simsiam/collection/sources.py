"""Where the images of a collection are: a folder, files, a dataset or an array, each with names."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from keras_simsiam import datasets
from keras_simsiam.arrays import as_rgb
from keras_simsiam.data import (
    ImageArray,
    ImageFiles,
    Images,
    ImagesLike,
    SeparateImages,
    as_images,
    load,
    scan,
)
from keras_simsiam.data.copies import readable_paths
from keras_simsiam.data.fingerprint import of_parts
from keras_simsiam.data.folder import split_folders
from keras_simsiam.data.images import square
from keras_simsiam.data.measuring import channels_of_most, measured
from keras_simsiam.data.paths import Paths
from keras_simsiam.errors import InputError, shown
from keras_simsiam.pixels import Pixels
from keras_simsiam.preprocessing import Preprocessing

_FOLDER = "folder:"
_BATCH = 256


@dataclass(frozen=True, eq=False)
class Source:
    """Images with their names.

    Attributes:
        images: The images; those in files need not be readable.
        names: A name for each: the path in the folder, or a number.
        labels: The name of the class of each, "" for an image without; None if none has one.
        splits: The split of each, such as "train"; None if the images have no folders of splits.
        place: The folder that the names are relative to, or the name of a dataset.
        left_out: What was found but is not among the images, and why.
        unread: Why some TIFF files cannot be read, by position.
        reread: Reads records with other channels, or another range of values; None for others.
    """

    images: Images
    names: list[str]
    labels: list[str] | None = None
    splits: list[str] | None = None
    place: str = ""
    left_out: scan.LeftOut = field(default_factory=scan.LeftOut)
    unread: dict[int, str] = field(default_factory=dict)
    reread: Callable[[Pixels], Images] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def seen_by(self, preprocessing: Preprocessing) -> Source:
        """The images as an encoder was trained on them: its channels, and its range of values.

        Files of more than 8 bits whose range the encoder does not know have that of the collection.

        Raises:
            InputError: If the images have channels that it cannot take.
        """
        images, pixels = self.images, preprocessing.pixels
        other = pixels.channels != images.channels or bool(pixels.high)
        if self.reread is not None and other:
            return dataclasses.replace(self, images=self.reread(pixels))
        # Files that can be read as RGB may be read in other ways, too.
        if not (isinstance(images, ImageFiles) and images.channels == 3):
            as_images(images, channels=pixels.channels)
        if isinstance(images, ImageFiles) and other:
            files = dataclasses.replace(images, pixels=measured(images.stored, pixels))
            return dataclasses.replace(self, images=files)
        return self

    def read_as(self, other: Source) -> Source:
        """The images with the channels and the range of values that another collection has."""
        if not (isinstance(self.images, ImageFiles) and isinstance(other.images, ImageFiles)):
            return self
        files = dataclasses.replace(self.images, pixels=other.images.pixels)
        return dataclasses.replace(self, images=files)

    def read(self, size: int, start: int, end: int) -> Iterator[tuple[np.ndarray, tf.Tensor]]:
        """Batches of the images from `start` to `end` that can be read, in order.

        Args:
            size: Side in pixels, see `keras_simsiam.preprocessing.resize_square`.
            start: The first position.
            end: The position after the last.

        Yields:
            Positions int64 ``[B]``, and images uint8 ``[B, size, size, C]``.
        """
        if isinstance(self.images, SeparateImages):
            each = self.images.squares(start, end, size)
        else:
            each = self.images.dataset().skip(start).take(end - start).enumerate(start)
            each = each.map(lambda i, image: (i, square(image, size)), _AUTO)
        for positions, images in each.batch(_BATCH).prefetch(2):
            yield positions.numpy(), images

    def why(self, position: int) -> str:
        """Why an image cannot be read."""
        assert isinstance(self.images, SeparateImages)
        return self.unread.get(position) or self.images.why(position)

    def none_read(self, position: int = 0) -> InputError:
        """The error to raise if none of the images can be read, such as the one at a position."""
        return InputError(
            f"none of the images can be read, such as {self.names[position]}: {self.why(position)}"
        )

    def pick(self, positions: Sequence[int] | np.ndarray, size: int) -> np.ndarray:
        """Some of the images to look at, uint8 ``[n, size, size, 3]``; black ones if unreadable."""
        return as_rgb(self.images.pick(np.asarray(positions, np.int64), size))

    def original(self, position: int) -> np.ndarray:
        """An image in its own size, uint8 ``[H, W, C]``."""
        if isinstance(self.images, SeparateImages):
            return self.images.image(position)
        assert isinstance(self.images, ImageArray)
        return self.images.array[position]

    def digest(self, position: int) -> bytes:
        """Of the bytes of an image: equal for copies of a file, or images of equal pixels."""
        if isinstance(self.images, ImageFiles):
            with open(self.images.paths[position], "rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        return hashlib.sha256(self.original(position).tobytes()).digest()

    def fingerprint(self) -> str:
        """A digest of the images and their names."""
        return of_parts([self.images.fingerprint(), *self.names])

    def only(self, names: Sequence[str]) -> Source:
        """The images of some names, in the order of these.

        Raises:
            InputError: If there is no image of a name.
        """
        place = {name: i for i, name in enumerate(self.names)}
        missing = [name for name in names if name not in place]
        if missing:
            raise InputError(
                f"'{self.place}' must have the images of the features; "
                f"{len(missing):,} of {len(names):,} are not there, such as {shown(missing[0])}"
            )
        rows = [place[name] for name in names]
        labels, splits = (
            None if given is None else [given[i] for i in rows]
            for given in (self.labels, self.splits)
        )
        images, whole = _chosen(self.images, rows), self.reread
        reread = None if whole is None else lambda pixels: _chosen(whole(pixels), rows)
        return Source(images, list(names), labels, splits, self.place, reread=reread)

    def labeled(self, labels: list[str]) -> Source:
        """The images with other labels, one for each."""
        return dataclasses.replace(self, labels=labels)


def find_source(
    images: ImagesLike | Sequence[str | os.PathLike] | str | os.PathLike,
    split: str = "train",
    data_dir: str | None = None,
) -> Source:
    """The images of a collection and their names.

    Args:
        images: "folder:PATH" or a folder, for all images in it at any depth; the name of another
            dataset; one image file or a list of them; or images as `keras_simsiam.load` returns
            them.
        split: The split of another dataset, see `keras_simsiam.load`.
        data_dir: See `keras_simsiam.load`.

    Raises:
        InputError: If there are no images.
    """
    if isinstance(images, np.ndarray | Images | tf.Tensor):
        found = as_images(images, channels=None)
        return Source(found, [str(i) for i in range(len(found))])
    if isinstance(images, list | tuple):
        return _of_files([os.fspath(image) for image in images])
    if not isinstance(images, str | os.PathLike):
        raise InputError(
            f"images must be a folder, files, a dataset or images; got {shown(images)}"
        )
    name = os.fspath(images)
    if name.startswith(_FOLDER) or os.path.isdir(name):
        return _of_folder(name.removeprefix(_FOLDER))
    if os.path.isfile(name):
        return _of_files([name])
    dataset = load(name, split, data_dir)
    found = as_images(dataset.images, channels=None)
    names = [f"{split}/{name}" for name in dataset.names or range(len(found))]
    labels = dataset.labels
    classes = None if labels is None else [dataset.class_names[i] for i in labels]

    def reread(pixels: Pixels) -> Images:
        return as_images(load(name, split, data_dir, pixels=pixels).images, channels=None)

    from_files = datasets.find(name)[0].from_files
    return Source(found, names, classes, None, name, reread=reread if from_files else None)


def _of_folder(path: str) -> Source:
    """All images of a folder; those in the class folders of a split have labels."""
    root = os.path.expanduser(path)
    if not os.path.isdir(root):
        raise InputError(f"folder '{path}' does not exist")
    left_out = scan.LeftOut()
    files = scan.images(root, left_out)
    if not files:
        raise InputError(
            f"folder '{path}' must contain images, files ending in {' '.join(scan.EXTENSIONS)}"
            + (f"; it has {left_out}" if left_out else "")
        )
    labels, splits = ([""] * len(files) for _ in range(2))
    for kind, folder in split_folders(root).items():
        start = os.path.join(folder, "")
        for i, file in enumerate(files):
            if file.startswith(start):
                name, below, _ = file.removeprefix(start).partition(os.sep)
                labels[i], splits[i] = scan.canonical(name) if below else "", kind
    names = [os.path.relpath(file, root) for file in files]
    labeled, of_splits = (found if any(found) else None for found in (labels, splits))
    found, unread = _read_by_tensorflow(files)
    return Source(found, names, labeled, of_splits, path, left_out, unread)


def _of_files(files: list[str]) -> Source:
    missing = [file for file in files if not os.path.isfile(file)]
    if missing or not files:
        raise InputError(f"files must be images; got {shown(missing[0] if missing else files)}")
    found, unread = _read_by_tensorflow(Paths.of(files))
    return Source(found, files, unread=unread)


def _read_by_tensorflow(files: Paths) -> tuple[ImageFiles, dict[int, str]]:
    """Image files, and why some TIFF files cannot be read, by position."""
    stored, unread = readable_paths(files)
    pixels = measured(stored, Pixels(channels_of_most(stored)))
    return ImageFiles(files, pixels=pixels, stored=stored), unread


def _chosen(images: Images, rows: list[int]) -> Images:
    if isinstance(images, SeparateImages):
        return images.take(rows)
    assert isinstance(images, ImageArray)
    return ImageArray(images.array[rows])


_AUTO = tf.data.AUTOTUNE
