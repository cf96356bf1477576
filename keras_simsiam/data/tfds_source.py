"""Image datasets of TensorFlow Datasets, which downloads and stores them."""

from __future__ import annotations

import importlib.util
import socket
import urllib.request
from collections.abc import Collection

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from keras_simsiam.data import (
    record_index,
    tiny_imagenet,  # noqa: F401  registers its builder
)
from keras_simsiam.data.dataset import Dataset
from keras_simsiam.data.in_memory import MAX_IN_MEMORY
from keras_simsiam.data.in_records import ImageRecords
from keras_simsiam.errors import InputError, NoSuchSplit, first_line


def read(name: str, split: str, data_dir: str | None = None) -> Dataset:
    """Reads a split of a dataset; downloads and prepares it first if needed.

    Args:
        name: The dataset's name in TensorFlow Datasets, such as "cifar10" or "imagenette/160px-v2".
        split: The split's name in TensorFlow Datasets; "validation" is "test" if there is none.
        data_dir: Where TensorFlow Datasets keeps its data; its own default if None.

    Returns:
        Images in memory if all have one size and fit, else `ImageRecords`; with labels if the
        dataset has any.

    Raises:
        InputError: If the dataset is unknown, has no such split or no images, or cannot be
            downloaded.
    """
    builder = _prepared(name, data_dir)
    info = builder.info
    names = ("validation", "test") if split == "validation" else (split,)
    stored = next((n for n in names if n in info.splits), None)
    if stored is None:
        raise NoSuchSplit(
            f"dataset '{name}' has no split '{split}'; it has {', '.join(info.splits)}"
        )
    image = _feature(builder, "image", tfds.features.Image)
    if image is None:
        raise InputError(
            f"dataset '{name}' has no images; its features are {', '.join(info.features)}"
        )
    label = _feature(builder, "label", tfds.features.ClassLabel)
    found = find(builder, stored, () if label is None else ("label",))

    def decode(record: tf.Tensor) -> tf.Tensor:
        image = builder.info.features.deserialize_example(record)["image"]
        image = tf.image.convert_image_dtype(image, tf.uint8)  # it may have 16 bits
        return tf.image.grayscale_to_rgb(image) if image.shape[-1] == 1 else image[..., :3]

    images = ImageRecords(found.shards, decode, found.unreadable)
    labels, classes = labels_of(found, label)
    if None not in image.shape and np.prod(image.shape) * len(images) <= MAX_IN_MEMORY:
        pixels = np.dtype((np.uint8, (*image.shape[:2], 3)))
        held = np.fromiter(images.dataset().as_numpy_iterator(), pixels, len(images))
        return Dataset(held, labels, classes)
    return Dataset(images, labels, classes)


def find(
    builder: tfds.core.DatasetBuilder, split: str, keys: Collection[str]
) -> record_index.Found:
    """The records of a split of a dataset.

    Args:
        builder: The dataset.
        split: The split.
        keys: See `record_index.find`.

    Raises:
        InputError: If the files are neither TFRecord nor ArrayRecord files, or more than 1% of
            their records cannot be read.
    """
    info, stored_as = builder.info.splits[split], builder.info.file_format
    is_array = stored_as == tfds.core.FileFormat.ARRAY_RECORD
    if not is_array and stored_as != tfds.core.FileFormat.TFRECORD:
        raise InputError(
            f"dataset '{builder.name}' must be stored as tfrecord or array_record; "
            f"got {stored_as.value}"
        )
    if is_array and importlib.util.find_spec("array_record") is None:
        raise InputError(
            f"dataset '{builder.name}' is stored as array_record, for which the package "
            "array_record must be installed"
        )
    files = [str(file) for file in info.filepaths]
    return record_index.find(files, info.shard_lengths, is_array, keys)


def labels_of(
    found: record_index.Found, feature: tfds.features.ClassLabel | None
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The labels of records and the names of the classes; None and none if there are no labels."""
    if feature is None:
        return None, ()
    labels = found.numbers[:, 0].astype(np.int64)
    # In TensorFlow Datasets, unlabeled images have label -1.
    return (None if (labels < 0).all() else labels), tuple(feature.names)


def _prepared(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError) as e:
        raise InputError(f"unknown dataset '{name}': {first_line(e)[:160]}") from e
    if builder.is_prepared():
        return builder
    try:
        # TensorFlow Datasets would retry for three minutes without a network. A dataset without
        # URLs generates its data.
        if builder.url_infos and not urllib.request.getproxies():
            socket.getaddrinfo("storage.googleapis.com", 443)
        builder.download_and_prepare()
    except AssertionError as e:
        # Raised for a dataset that has to be downloaded by hand.
        raise InputError(f"dataset '{name}' cannot be prepared: {' '.join(str(e).split())}") from e
    except (OSError, tfds.download.DownloadError, NonMatchingChecksumError) as e:
        # Errors of requests, such as a broken connection, are OSErrors.
        raise InputError(
            f"dataset '{name}' cannot be downloaded ({first_line(e)[:160]}); check the network, or "
            "set data_dir to where the dataset is stored"
        ) from e
    return builder


def _feature(builder: tfds.core.DatasetBuilder, name: str, kind: type):
    """The feature of that name; None if there is none, or it is of another kind."""
    features = builder.info.features
    return features[name] if name in features and isinstance(features[name], kind) else None
