"""Features in the order of their images, from models and from pixels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam.config import IMAGENET_MEAN, IMAGENET_STD
from keras_simsiam.data import whole_images
from keras_simsiam.evaluation import RAW_PIXELS_SIDE, extract, model_encoder, raw_pixels


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
        for batch in whole_images(images, 32):
            encoder(batch)
    assert psutil.Process().memory_info().rss - before < images.nbytes
