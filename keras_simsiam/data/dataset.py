"""Datasets by name."""

from __future__ import annotations

import importlib
from typing import NamedTuple

import numpy as np

from keras_simsiam import datasets
from keras_simsiam.data.images import ImagesLike


class Dataset(NamedTuple):
    """One split of a dataset.

    Attributes:
        images: uint8 ``[N, H, W, 3]`` if all have one size and fit into memory, else `ImageFiles`
            or `ImageStream`.
        labels: int64 ``[N]``, indices into `class_names`; None if there are none.
        class_names: Human-readable names.
    """

    images: ImagesLike
    labels: np.ndarray | None
    class_names: tuple[str, ...]


def load(name: str, split: str = "train", data_dir: str | None = None) -> Dataset:
    """Loads one split of a dataset.

    To add a dataset, write a module here with a function
    ``read(argument, split, data_dir) -> Dataset``, and add its line to
    `keras_simsiam.datasets.DATASETS`. Modules are imported on first use, so that a dataset costs
    nothing to those who use another.

    Args:
        name: "photo_patches" (bundled), "tiny_imagenet", "cifar10", "cifar100", "stl10",
            "imagenette", "tfds:NAME" for any image dataset of TensorFlow Datasets, or
            "folder:PATH" for your own images.
        split: The dataset's own name: "train", "validation", "test", or "unlabelled" for stl10.
            If a dataset has no validation split, "validation" is its test split.
        data_dir: For tiny_imagenet its zip or extracted folder, which needs no network; for the
            others the folder in which TensorFlow Datasets keeps its data.

    Raises:
        InputError: If there is no such dataset or split, or it cannot be read or downloaded.
    """
    source, argument = datasets.find(name)
    module = importlib.import_module(f"keras_simsiam.data.{source.module}")
    return module.read(argument, split, data_dir)
