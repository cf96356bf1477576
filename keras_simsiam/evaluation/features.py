"""Features of whole images, from a model, a SavedModel, or the pixels themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_simsiam import augment
from keras_simsiam.config import IMAGENET_MEAN, IMAGENET_STD, Augmentation
from keras_simsiam.data import ImagesLike, as_images
from keras_simsiam.preprocessing import Preprocessing

Encoder = Callable[[tf.Tensor], tf.Tensor]
"""From uint8 images ``[B, size, size, 3]`` to float32 features ``[B, D]``."""

RAW_PIXELS_SIDE = 32


def extract(encoder: Encoder, images: ImagesLike, size: int) -> np.ndarray:
    """Features of every image, in order.

    Args:
        encoder: What makes features of a batch.
        images: As `keras_simsiam.data.load` gives them.
        size: Side in pixels at which the encoder takes them.

    Returns:
        float32 ``[N, D]``.
    """
    return np.concatenate([np.asarray(encoder(batch)) for batch in as_images(images).whole(size)])


def augmented_features(
    encoder: Encoder, images: ImagesLike, size: int, seed: int = 0
) -> Callable[[int], np.ndarray]:
    """Features of images cropped and flipped at random, as in the paper's linear probe.

    Crops have 8% to 100% of the area, as in torchvision's RandomResizedCrop; of images that are
    not square, they are taken from the square in the middle.

    Args:
        encoder: As for `extract`, as the rest.
        images: At least one.
        size: Side of the crops in pixels.
        seed: Of crops and flips.

    Returns:
        A function from an epoch to features float32 ``[N, D]``, in the order of the images. Each
        call runs the encoder on all images.
    """
    crop_and_flip = dataclasses.replace(
        Augmentation.preset("none"),
        crop_area=(0.08, 1.0),
        crop_ratio=(3 / 4, 4 / 3),
        flip_probability=0.5,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    source = as_images(images).side(default=round(size * 256 / 224))

    @tf.function
    def view(batch: tf.Tensor, first: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        examples = first + tf.range(tf.shape(batch)[0], dtype=tf.int64)
        numbers = augment.uniforms(seed, tf.fill(tf.shape(examples), epoch), examples, 1)[0]
        drawn = augment.draw(crop_and_flip, numbers, source, source)
        pixels = 255.0 * augment.apply(crop_and_flip, batch, drawn, size)
        return tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)

    def of_epoch(epoch: int) -> np.ndarray:
        features, done = [], 0
        for batch in as_images(images).whole(source):
            places = (tf.constant(v, tf.int64) for v in (done, epoch))
            features.append(np.asarray(encoder(view(batch, *places))))
            done += len(batch)
        return np.concatenate(features)

    return of_epoch


def model_encoder(
    model: keras.Model,
    size: int,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Encoder:
    """The features that a model gives in evaluation mode, preprocessing included.

    Args:
        model: From normalised images to vectors; a `SimSiam` gives its backbone's.
        size: Side in pixels that it was trained at.
        mean: Of each channel, in [0, 1], as in its training.
        std: Of each channel.
    """
    preprocessing = Preprocessing(size, mean, std)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    def encode(images: tf.Tensor) -> tf.Tensor:
        features = model(preprocessing(images), training=False)
        return tf.cast(features, tf.float32)

    return encode


def raw_pixels(images: tf.Tensor) -> tf.Tensor:
    """The pixels themselves as features, the baseline that needs no network.

    Args:
        images: uint8 ``[B, 32, 32, 3]``; `extract` at `RAW_PIXELS_SIDE` gives these.

    Returns:
        float32 ``[B, 3072]``, normalised channel by channel.
    """
    pixels = Preprocessing(RAW_PIXELS_SIDE)(images)
    return tf.reshape(pixels, [tf.shape(images)[0], -1])
