"""Datasets by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from keras_simsiam import datasets
from keras_simsiam.config import CheckFiles
from keras_simsiam.data import fingerprint
from keras_simsiam.data.images import ImagesLike
from keras_simsiam.data.in_memory import as_images
from keras_simsiam.errors import InputError, printable
from keras_simsiam.fields import checks_arguments
from keras_simsiam.pixels import Pixels


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a dataset::

        images, labels, class_names = keras_simsiam.load("photo_patches", "train")

    Attributes:
        images: uint8 ``[N, H, W, C]`` if all have one size and fit into memory, else `ImageFiles`
            or `ImageRecords`.
        labels: int64 ``[N]``, indices into `class_names`; None if there are none.
        class_names: Human-readable names.
        paths: The file of each image; None if images are not files of their own.
        names: The name of each image in its folder, for images in records that were packed from
            one; else None.
        left_out: What was found but is not among the images, and why; empty if nothing was.
        pixels: How values of files became uint8, with the range that was measured, if any.
    """

    images: ImagesLike
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    paths: Sequence[str] | None = None
    left_out: str = ""
    pixels: Pixels = field(default_factory=Pixels)
    names: Sequence[str] | None = None

    def __iter__(self) -> Iterator:
        return iter((self.images, self.labels, self.class_names))

    def fingerprints(self, kind: str) -> dict[str, str]:
        """Digests of images and labels, by which a resumed run recognizes them if they have moved.

        Args:
            kind: What to call the images, such as "training".

        Returns:
            A number and a digest for "training images" and, if there are any, "training labels".
        """
        images = as_images(self.images, channels=None)
        found = {f"{kind} images": f"{len(images):,} ({images.fingerprint()})"}
        if self.labels is not None:
            labels = fingerprint.of_array(np.asarray(self.labels, np.int64))
            digest = fingerprint.of_parts([labels, *self.class_names])
            found[f"{kind} labels"] = f"{len(self.class_names):,} classes ({digest})"
        return found


def sizes(name: str, train: Dataset, test: Dataset | None) -> str:
    """A line with the name of a dataset and the numbers of its images and classes.

    Args:
        name: Its name.
        train: Its training images.
        test: Its labeled test images; None if there are none.
    """
    text = f"{printable(name)}, {len(train.images):,} training images"
    if test is not None:
        text += f", {len(test.images):,} test images, {len(test.class_names)} classes"
    return text


def left_out(splits: Mapping[str, Dataset]) -> str:
    """What was left out of splits and why, as text to append to `sizes`; empty if nothing was.

    Args:
        splits: The splits by kind, such as "training" and "test".
    """
    return "".join(
        f"; left out of the {kind} images: {split.left_out}"
        for kind, split in splits.items()
        if split.left_out
    )


@checks_arguments
def load(
    name: str,
    split: str = "train",
    data_dir: str | None = None,
    check_files: CheckFiles = "full",
    pixels: Pixels = Pixels(),  # noqa: B008 (it is frozen)
) -> Dataset:
    """Loads one split of a dataset.

    Args:
        name: "photo_patches" (bundled), "tiny_imagenet", "cifar10", "cifar100", "stl10",
            "imagenette", "tfds:NAME" for any image dataset of TensorFlow Datasets, or
            "folder:PATH" and "records:PATH" for your own images, in files or packed.
        split: Name of the split: "train", "validation", "test", or "unlabelled" for stl10. If a
            dataset has no validation split, "validation" is its test split.
        data_dir: For tiny_imagenet its zip or extracted folder, which needs no network; for the
            others the folder in which TensorFlow Datasets keeps its data.
        check_files: What is read of each file of a "folder:PATH" first: "full" for all of it,
            "header" or "none"; see ``--check-files``.
        pixels: Of your own images, the number of channels, and the range of files with more than 8
            bits, which is measured by default; see `keras_simsiam.Pixels`. Those of an encoder,
            ``encoder.preprocessing.pixels``, give the images that it was trained on. Packed images
            are by default as they were packed.

    Returns:
        The split, which unpacks into images, labels and class names; see `Dataset`.

    Raises:
        InputError: If there is no such dataset or split, or it cannot be read or downloaded.
    """
    source, argument = datasets.find(name)
    # Imported on first use, so that a dataset costs nothing to those who use another.
    module = importlib.import_module(f"keras_simsiam.data.{source.module}")
    if source.from_files:
        return module.read(argument, split, data_dir, check_files, pixels)
    if pixels.channels != 3:
        raise InputError(
            f"channels must be 3, except of folder:PATH and records:PATH; got {pixels.channels}"
        )
    return module.read(argument, split, data_dir)
