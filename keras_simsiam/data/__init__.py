"""Images to train and evaluate on, and the batches of views made of them.

`load` finds a dataset by name; `views` turns its images into batches of view pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_simsiam.data import folder, photo_patches, tfds_source, tiny_imagenet
from keras_simsiam.data.batches import Images
from keras_simsiam.data.pipeline import pick, preprocess, sample, side_of, views, whole_images
from keras_simsiam.data.sources import ImageFiles, ImageStream
from keras_simsiam.errors import InputError

__all__ = [
    "DATASETS",
    "Dataset",
    "ImageFiles",
    "ImageStream",
    "Images",
    "load",
    "pick",
    "preprocess",
    "pretraining_split",
    "sample",
    "side_of",
    "views",
    "whole_images",
]

DATASETS = (
    "photo_patches",
    "tiny_imagenet",
    "cifar10",
    "cifar100",
    "stl10",
    "imagenette",
    "tfds:NAME",
    "folder:PATH",
)
"""What `load` knows; the last two stand for a name and a path of the user's own."""


class Dataset(NamedTuple):
    """One split of a dataset.

    Attributes:
        images: uint8 ``[N, H, W, 3]`` where all have one size and fit in memory, else
            `ImageFiles` or `ImageStream`.
        labels: int64 ``[N]``, numbers into `class_names`; None where there are none.
        class_names: Human names.
    """

    images: Images
    labels: np.ndarray | None
    class_names: tuple[str, ...]


def load(name: str, split: str = "train", data_dir: str | None = None) -> Dataset:
    """Loads one split of a dataset.

    Args:
        name: One of `DATASETS`: "photo_patches" (embedded), "tiny_imagenet", "cifar10",
            "cifar100", "stl10", "imagenette", "tfds:NAME" for any other of TensorFlow Datasets,
            or "folder:PATH" for images of one's own.
        split: The dataset's own name for it: "train", "validation", "test", or "unlabelled" for
            stl10. Where a dataset has no validation split, "validation" is its test split.
        data_dir: For tiny_imagenet its zip or extracted folder, which then needs no network; for
            the others the folder in which TensorFlow Datasets keeps its data.

    Raises:
        InputError: If there is no such dataset or split, or it cannot be read or downloaded. The
            message names the value and what would be right.
    """
    kind, _, rest = name.partition(":")
    splits = ("validation", "test") if split == "validation" else (split,)
    if kind == "folder" and rest:
        return Dataset(*folder.read(rest, split))
    if kind == "tfds" and rest:
        return Dataset(*tfds_source.read(rest, splits, data_dir))
    if name == "photo_patches":
        return Dataset(*photo_patches.read(splits[-1]))
    if name == "tiny_imagenet":
        if data_dir is not None:
            return Dataset(*tiny_imagenet.read(data_dir, split))
        return Dataset(*tfds_source.read("tiny_imagenet", splits, None))
    if name in DATASETS and not rest:
        return Dataset(*tfds_source.read(name, splits, data_dir))
    raise InputError(f"unknown dataset '{name}'; datasets are {', '.join(DATASETS)}")


def pretraining_split(name: str) -> str:
    """The split to pre-train on: the training images, or STL-10's 100,000 unlabelled ones."""
    return "unlabelled" if name == "stl10" else "train"
