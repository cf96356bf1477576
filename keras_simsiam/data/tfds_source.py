"""Image datasets of TensorFlow Datasets, which downloads and stores them."""

from __future__ import annotations

import socket
import urllib.request
import warnings

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from keras_simsiam.data import tiny_imagenet  # noqa: F401  registers its builder
from keras_simsiam.data.dataset import Dataset
from keras_simsiam.data.in_memory import MAX_IN_MEMORY
from keras_simsiam.data.in_records import SHUFFLE_BUFFER, ImageStream
from keras_simsiam.errors import InputError, NoSuchSplit, first_line


def read(name: str, split: str, data_dir: str | None = None) -> Dataset:
    """Reads a split of a dataset; downloads and prepares it first if needed.

    Args:
        name: The dataset's name in TensorFlow Datasets, such as "cifar10" or "imagenette/160px-v2".
        split: The split's name in TensorFlow Datasets; "validation" is "test" if there is none.
        data_dir: Where TensorFlow Datasets keeps its data; its own default if None.

    Returns:
        Images in memory if all have one size and fit, else an `ImageStream`; with labels if the
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
    stream = _stream(builder, stored)
    labels, classes = _labels(builder, stream)
    if None not in image.shape and np.prod(image.shape) * len(stream) <= MAX_IN_MEMORY:
        pixels = np.dtype((np.uint8, (*image.shape[:2], 3)))
        images = np.fromiter(stream.dataset().as_numpy_iterator(), pixels, len(stream))
        return Dataset(images, labels, classes)
    warnings.warn(
        f"{name} has images of many sizes or does not fit into memory: it is read as a stream and "
        f"shuffled approximately, by files and a buffer of {SHUFFLE_BUFFER:,} images",
        stacklevel=2,
    )
    return Dataset(stream, labels, classes)


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


def _stream(builder: tfds.core.DatasetBuilder, split: str) -> ImageStream:
    info = builder.info.splits[split]
    if builder.info.file_format != tfds.core.FileFormat.TFRECORD:
        raise InputError(
            f"dataset '{builder.name}' must be stored as tfrecord; "
            f"got {builder.info.file_format.value}"
        )

    def decode(record: tf.Tensor) -> tf.Tensor:
        image = builder.info.features.deserialize_example(record)["image"]
        image = tf.image.convert_image_dtype(image, tf.uint8)  # it may have 16 bits
        return tf.image.grayscale_to_rgb(image) if image.shape[-1] == 1 else image[..., :3]

    return ImageStream([str(f) for f in info.filepaths], info.num_examples, decode)


def _labels(
    builder: tfds.core.DatasetBuilder, stream: ImageStream
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Every label in the stored order, read without decoding the images, and the class names."""
    features, label = builder.info.features, _feature(builder, "label", tfds.features.ClassLabel)
    if label is None:
        return None, ()
    skip = {"image": tfds.decode.SkipDecoding()}
    numbers = tf.data.TFRecordDataset(stream.files).map(
        lambda record: features.deserialize_example(record, decoders=skip)["label"],
        tf.data.AUTOTUNE,
    )
    labels = np.concatenate(list(numbers.batch(1024).as_numpy_iterator()))
    # In TensorFlow Datasets, unlabeled images have label -1.
    return (None if (labels < 0).all() else labels), tuple(label.names)


def _feature(builder: tfds.core.DatasetBuilder, name: str, kind: type):
    """The feature of that name; None if there is none, or it is of another kind."""
    features = builder.info.features
    return features[name] if name in features and isinstance(features[name], kind) else None
