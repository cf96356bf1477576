"""Features in the order of their images, from models and from pixels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam.config import IMAGENET_MEAN, IMAGENET_STD
from keras_simsiam.data import as_images
from keras_simsiam.evaluation import (
    RAW_PIXELS_SIDE,
    augmented_features,
    extract,
    model_encoder,
    raw_pixels,
)


@pytest.fixture
def images():
    return np.random.RandomState(0).randint(0, 256, (300, 32, 32, 3), np.uint8)


def test_raw_pixels_are_the_normalized_pixels_in_order(images):
    expected = ((images / 255.0 - IMAGENET_MEAN) / IMAGENET_STD).reshape(300, -1)
    np.testing.assert_allclose(extract(raw_pixels, images, RAW_PIXELS_SIDE), expected, atol=1e-5)


def test_model_sees_normalized_images_in_evaluation_mode(images):
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Dropout(0.9),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    found = extract(model_encoder(model, 16, mean, std), images, 16)
    expected = (images.mean(axis=(1, 2)) / 255 - mean) / std
    assert found.shape == (300, 3)
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_features_are_float32_whatever_the_model_computes_in(images):
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2, dtype="float16")]
    )
    assert model_encoder(model, 8)(tf.constant(images[:2])).dtype == tf.float32


def test_evaluations_hold_no_copy_of_the_images():
    psutil = pytest.importorskip("psutil")
    images = np.zeros((20_000, 32, 32, 3), np.uint8)  # 61 MB
    encoder = model_encoder(
        keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten()]), 32
    )
    extract(encoder, images[:512], 32)
    before = psutil.Process().memory_info().rss
    for _ in range(4):
        for batch in as_images(images).whole(32):
            encoder(batch)
    assert psutil.Process().memory_info().rss - before < images.nbytes


def test_augmented_features_are_of_random_crops_and_flips_of_each_epoch():
    ramp = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8), (64, 64))
    images = np.broadcast_to(ramp[None, :, :, None], (300, 64, 64, 3)).copy()

    def left_and_right(batch):
        assert batch.dtype == tf.uint8
        return tf.reduce_mean(tf.cast(batch, tf.float32), [1, 3])[:, ::31]

    of_epoch = augmented_features(left_and_right, images, 32, seed=1)
    first, again, second = of_epoch(0), of_epoch(0), of_epoch(1)
    assert first.shape == (300, 2)
    np.testing.assert_array_equal(first, again)
    assert (first != second).any(axis=1).mean() > 0.9
    width = (first[:, 1] - first[:, 0]) / 252  # of the crop, negative where it is flipped
    assert 0.4 < (width < 0).mean() < 0.6
    # Areas from 8% to 100%, ratios from 3/4 to 4/3: widths from 0.24 to 1.
    assert 0.2 < np.abs(width).min() < 0.4
    assert 0.85 < np.abs(width).max() <= 1.01
    np.testing.assert_array_equal(
        augmented_features(left_and_right, images[:7], 32, seed=1)(0), first[:7]
    )
