"""Features of whole images, from a model, a SavedModel, or the pixels themselves."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_simsiam.config import IMAGENET_MEAN, IMAGENET_STD
from keras_simsiam.data import Images, preprocess, whole_images

Encoder = Callable[[tf.Tensor], tf.Tensor]
"""From uint8 images ``[B, size, size, 3]`` to float32 features ``[B, D]``."""

RAW_PIXELS_SIDE = 32


def extract(encoder: Encoder, images: Images, size: int) -> np.ndarray:
    """Features of every image, in order.

    Args:
        encoder: What makes features of a batch.
        images: As `keras_simsiam.data.load` gives them.
        size: Side in pixels at which the encoder takes them.

    Returns:
        float32 ``[N, D]``.
    """
    return np.concatenate([np.asarray(encoder(batch)) for batch in whole_images(images, size)])


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

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    def encode(images: tf.Tensor) -> tf.Tensor:
        features = model(preprocess(images, size, mean, std), training=False)
        return tf.cast(features, tf.float32)

    return encode


def raw_pixels(images: tf.Tensor) -> tf.Tensor:
    """The pixels themselves as features, the baseline that needs no network.

    Args:
        images: uint8 ``[B, 32, 32, 3]``; `extract` at `RAW_PIXELS_SIDE` gives these.

    Returns:
        float32 ``[B, 3072]``, normalised channel by channel.
    """
    pixels = preprocess(images, RAW_PIXELS_SIDE, IMAGENET_MEAN, IMAGENET_STD)
    return tf.reshape(pixels, [tf.shape(images)[0], -1])
