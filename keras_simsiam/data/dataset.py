"""Datasets by name."""

from __future__ import annotations

import importlib
from typing import NamedTuple

import numpy as np

from keras_simsiam import datasets
from keras_simsiam.data import fingerprint
from keras_simsiam.data.images import ImagesLike
from keras_simsiam.data.in_memory import as_images
from keras_simsiam.fields import checks_arguments


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

    def fingerprints(self, kind: str) -> dict[str, str]:
        """What the images and their labels are, not where: by what they are called, a digest each.

        Args:
            kind: What to call them, such as "training".
        """
        found = {f"{kind} images": f"{len(self.images):,} ({as_images(self.images).fingerprint()})"}
        if self.labels is not None:
            labels = fingerprint.of_array(np.asarray(self.labels, np.int64))
            digest = fingerprint.of_parts([labels, *self.class_names])
            found[f"{kind} labels"] = f"{len(self.class_names):,} classes ({digest})"
        return found


@checks_arguments
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
