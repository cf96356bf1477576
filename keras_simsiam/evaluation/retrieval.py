"""How often one view of an image finds its other view, which needs no labels."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_simsiam.augmentation import Augmentation
from keras_simsiam.data import ImagesLike, as_images, views
from keras_simsiam.evaluation.encoder import Encoder
from keras_simsiam.fields import Count, checks_arguments

_BATCH = 64


@checks_arguments
def view_retrieval(
    encoder: Encoder,
    images: ImagesLike,
    augmentation: Augmentation,
    image_size: Count,
    count: Count = 768,
) -> float:
    """The share of views whose most similar other view is that of the same image.

    Args:
        encoder: Makes the features, which are compared by their cosine.
        images: See `keras_simsiam.evaluation.extract`.
        augmentation: How the views are made.
        image_size: Their side in pixels.
        count: How many of the images are taken, evenly spaced. Chance is one in as many.

    Returns:
        A share in [0, 1]; 1 of one image.

    Raises:
        InputError: If the images are anything else.
    """
    sample = as_images(images, channels=None).sample(count)
    size = min(_BATCH, len(sample))
    if size < 2:
        return 1.0
    mean, std = (np.array(v, np.float32) for v in (augmentation.mean, augmentation.std))
    features: list[list[np.ndarray]] = [[], []]
    batches = views(sample, augmentation, size, image_size=image_size)
    for pair in batches.take(min(len(sample), count) // size):
        for found, view in zip(features, pair, strict=True):
            pixels = tf.clip_by_value((view * std + mean) * 255.0, 0.0, 255.0)
            found.append(np.asarray(encoder(tf.cast(tf.round(pixels), tf.uint8))))
    first, second = (tf.math.l2_normalize(np.concatenate(found), axis=1) for found in features)
    nearest = tf.argmax(tf.matmul(first, second, transpose_b=True), axis=1)
    return float(np.mean(nearest.numpy() == np.arange(len(nearest))))
