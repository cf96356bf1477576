"""Features of many images, whole or cropped at random, and how probes rank classes by them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

from keras_simsiam import augment
from keras_simsiam.arrays import as_features, as_labels
from keras_simsiam.augmentation import Augmentation
from keras_simsiam.data import Images, ImagesLike, as_images
from keras_simsiam.errors import InputError
from keras_simsiam.evaluation import room
from keras_simsiam.evaluation.encoder import Encoder
from keras_simsiam.fields import Seed, checks_arguments
from keras_simsiam.workers import ALONE, Workers


@checks_arguments
def extract(encoder: Encoder, images: ImagesLike, workers: Workers = ALONE) -> np.ndarray:
    """Features of every image, in order.

    Args:
        encoder: See `Encoder`.
        images: uint8 ``[N, H, W, C]``, or the ``images`` of a dataset from `keras_simsiam.load`.
        workers: The processes that each compute a share of them, and must all call this. All
            return the features of every image.

    Returns:
        float32 ``[N, D]``; if memory does not suffice, mapped from a temporary file, with a
        warning.

    Raises:
        InputError: If the images are anything else, or neither memory nor the disk suffices.
    """
    images = as_images(images, channels=encoder.preprocessing.channels)

    def of(own: Images) -> Iterator[tf.Tensor]:
        return map(encoder, own.resized(encoder.image_size))

    return _shared(images, of, workers)


@checks_arguments
def augmented_features(
    encoder: Encoder, images: ImagesLike, seed: Seed = 0, workers: Workers = ALONE
) -> Callable[[int], np.ndarray]:
    """Features of random crops and flips, as in the paper's linear evaluation.

    A crop has 8% to 100% of the area, as in torchvision's RandomResizedCrop. It is taken from the
    square in the center of the image.

    Args:
        encoder: See `Encoder`.
        images: See `extract`.
        seed: Seed of the crops and flips.
        workers: See `extract`.

    Returns:
        A function from the number of an epoch to features float32 ``[N, D]``, in the order of the
        images. Each call runs the encoder on all images.
    """
    size, channels = encoder.image_size, encoder.preprocessing.channels
    images = as_images(images, channels=channels)
    source = crop_side(images, size)
    crops = random_crops(source, size, seed, channels)
    numbers = tf.range(len(images), dtype=tf.int64)[workers.sharing(len(images)).share]

    def cropped(epoch: int, own: Images) -> Iterator[tf.Tensor]:
        done = 0
        for batch in own.resized(source):
            examples = numbers[done : done + len(batch)]
            yield encoder(crops(batch, examples, tf.constant(epoch, tf.int64)))
            done += len(batch)

    return lambda epoch: _shared(images, functools.partial(cropped, epoch), workers)


def crop_side(images: Images, size: int) -> int:
    """The side in pixels of the images of which crops of `size` pixels are taken."""
    return images.side(default=round(size * 256 / 224))


@functools.cache  # because tracing it takes seconds
def random_crops(
    source: int, size: int, seed: int, channels: int = 3
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Random crops and flips, of 8% to 100% of the area, as in torchvision's RandomResizedCrop.

    Args:
        source: Side of the images in pixels.
        size: Side of the crops.
        seed: Seed of the crops and flips.
        channels: Channels of the images.

    Returns:
        A function from images uint8 ``[B, source, source, C]``, their numbers int64 ``[B]`` and
        the number of the epoch, an int64 scalar, to uint8 ``[B, size, size, C]``.
    """
    crop_and_flip = dataclasses.replace(
        Augmentation.preset("none"),
        crop_area=(0.08, 1.0),
        crop_ratio=(3 / 4, 4 / 3),
        flip_probability=0.5,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )

    @tf.function
    def crops(batch: tf.Tensor, examples: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        epochs = tf.fill(tf.shape(examples), epoch)
        numbers = augment.uniforms(seed, epochs, examples, (crop_and_flip,))
        (drawn,) = augment.draw((crop_and_flip,), numbers, source, source)
        pixels = 255.0 * augment.apply(crop_and_flip, batch, drawn, size)
        return tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)

    return crops


def _shared(
    images: Images, of: Callable[[Images], Iterable[tf.Tensor]], workers: Workers
) -> np.ndarray:
    """The features of all images, of which each worker computes a share by `of`."""
    workers = workers.sharing(len(images))
    with workers.agreed():
        own = images.of_worker(workers)
        features = _filled(len(own), of(own))
    if workers.count == 1:
        return features
    return workers.interleave(features, room.for_features(len(images), features.shape[1]))


def _filled(count: int, batches: Iterable[tf.Tensor]) -> np.ndarray:
    """The features of `count` images in one array, float32 ``[N, D]``, that is filled once."""
    features, done = np.empty(0), 0
    for batch in batches:
        if not done:
            features = room.for_features(count, batch.shape[1])
        features[done : done + len(batch)] = np.asarray(batch)
        done += len(batch)
    return features


def check_features(
    bank: np.ndarray, bank_labels: np.ndarray, queries: np.ndarray, workers: Workers = ALONE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The arguments of a probe, as float32 ``[N, D]``, int64 ``[N]`` and float32 ``[Q, D]``.

    Args:
        bank: Features that the probe is fitted to.
        bank_labels: Their class numbers.
        queries: Features that it is applied to.
        workers: Those that each have a share of the bank, and the labels of all of it.

    Raises:
        InputError: If one of them is invalid, see `keras_simsiam.arrays`, or D differs.
    """
    bank, queries = as_features(bank, "bank"), as_features(queries, "queries")
    if bank.shape[1] != queries.shape[1]:
        raise InputError(
            f"queries must have the bank's dimension, {bank.shape[1]}; got {queries.shape[1]}"
        )
    count = workers.gather(np.array([len(bank)])).sum()
    return bank, as_labels(bank_labels, int(count), "bank_labels"), queries


def top_accuracies(predicted: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Top-1 and top-5 accuracy of a probe, in [0, 1].

    Args:
        predicted: int ``[Q, K]``, up to five classes for each query, best first.
        labels: int ``[Q]``, the true classes.
    """
    hits = predicted == labels[:, None]
    return float(hits[:, 0].mean()), float(hits.any(axis=1).mean())
