"""Any image dataset of TensorFlow Datasets, downloaded and kept by it."""

from __future__ import annotations

import socket
import urllib.request
import warnings

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from keras_simsiam.data.folder import MAX_IN_MEMORY
from keras_simsiam.data.sources import ImageStream
from keras_simsiam.errors import InputError, NoSuchSplit


def read(
    name: str, splits: tuple[str, ...], data_dir: str | None
) -> tuple[np.ndarray | ImageStream, np.ndarray | None, tuple[str, ...]]:
    """Reads one split of a dataset, downloading and preparing it where that is not done yet.

    Args:
        name: Its name in TensorFlow Datasets, such as "cifar10" or "imagenette/160px-v2".
        splits: Names that the split may have; the first that exists is read.
        data_dir: Where TensorFlow Datasets keeps its data; its own default where None.

    Returns:
        Images (uint8 ``[N, H, W, 3]`` where all have one size and fit in memory, else a stream),
        labels int64 ``[N]`` or None, class names.

    Raises:
        InputError: If the dataset is unknown, has no images or no such split, or cannot be
            downloaded.
    """
    builder = _prepared(name, data_dir)
    info = builder.info
    split = next((s for s in splits if s in info.splits), None)
    if split is None:
        raise NoSuchSplit(
            f"dataset '{name}' has no split '{splits[0]}'; it has {', '.join(info.splits)}"
        )
    image = _feature(builder, "image", tfds.features.Image)
    if image is None:
        raise InputError(
            f"dataset '{name}' has no images; its features are {', '.join(info.features)}"
        )
    stream = _stream(builder, split)
    labels, classes = _labels(builder, stream)
    if None not in image.shape and np.prod(image.shape) * len(stream) <= MAX_IN_MEMORY:
        images = np.empty((len(stream), *image.shape[:2], 3), np.uint8)
        for i, array in enumerate(stream.dataset().as_numpy_iterator()):
            images[i] = array
        return images, labels, classes
    warnings.warn(
        f"{name} is a stream of images of many sizes, or too large for memory: it is shuffled by "
        "files and a buffer of 10,000 images, not perfectly",
        stacklevel=2,
    )
    return stream, labels, classes


def _prepared(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError) as e:
        raise InputError(f"unknown dataset '{name}': {_first_line(e)}") from e
    if builder.is_prepared():
        return builder
    try:
        if builder.url_infos:  # else it makes its data itself
            _check_network()
        builder.download_and_prepare()
    except AssertionError as e:
        # What TensorFlow Datasets raises for a dataset that has to be fetched by hand.
        raise InputError(f"dataset '{name}' cannot be prepared: {' '.join(str(e).split())}") from e
    except (OSError, tfds.download.DownloadError, NonMatchingChecksumError) as e:
        # requests' errors, such as of a broken connection, are OSErrors.
        raise InputError(
            f"dataset '{name}' cannot be downloaded ({_first_line(e)}); is there a network? "
            "data_dir takes the place of one that is on the disk already"
        ) from e
    return builder


def _check_network() -> None:
    """Fails at once where no host can be found; TensorFlow Datasets tries for three minutes."""
    if not urllib.request.getproxies():
        socket.getaddrinfo("storage.googleapis.com", 443)


def _stream(builder: tfds.core.DatasetBuilder, split: str) -> ImageStream:
    info = builder.info.splits[split]
    if builder.info.file_format != tfds.core.FileFormat.TFRECORD:
        raise InputError(
            f"dataset '{builder.name}' is stored as {builder.info.file_format.value}; it must be "
            "prepared as tfrecord"
        )

    def decode(record: tf.Tensor) -> tf.Tensor:
        image = builder.info.features.deserialize_example(record)["image"]
        image = tf.image.convert_image_dtype(image, tf.uint8)  # from 16 bits, where it has them
        return tf.image.grayscale_to_rgb(image) if image.shape[-1] == 1 else image[..., :3]

    return ImageStream([str(f) for f in info.filepaths], info.num_examples, decode)


def _labels(
    builder: tfds.core.DatasetBuilder, stream: ImageStream
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Every label in the stored order, without decoding the images, and the class names."""
    features, label = builder.info.features, _feature(builder, "label", tfds.features.ClassLabel)
    if label is None:
        return None, ()
    skip = {"image": tfds.decode.SkipDecoding()}
    records = tf.data.TFRecordDataset(stream.files).batch(1024)
    batches = records.map(
        lambda batch: tf.map_fn(
            lambda r: features.deserialize_example(r, decoders=skip)["label"],
            batch,
            fn_output_signature=tf.int64,
        )
    )
    labels = np.concatenate(list(batches.as_numpy_iterator()))
    # TensorFlow Datasets labels unlabelled images -1.
    return (None if (labels < 0).all() else labels), tuple(label.names)


def _feature(builder: tfds.core.DatasetBuilder, name: str, kind: type):
    """The feature of that name; None where there is none, or one of another kind."""
    features = builder.info.features
    return features[name] if name in features and isinstance(features[name], kind) else None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
