"""Encoders of models: what they compute, how often they are traced, what they preprocess."""

import gc
import time
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.backbones import tiny

from keras_simsiam import (
    InputError,
    KNNMonitor,
    Preprocessing,
    SimSiam,
    predictor,
    projector,
    resnet18,
)
from keras_simsiam.evaluation import Encoder, extract, preprocessing_of, raw_pixels

MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


def pooled(size=None, *layers):
    """A network from images to the means of their channels."""
    pool = keras.layers.GlobalAveragePooling2D()
    return keras.Sequential([keras.Input((size, size, 3)), *layers, pool])


@pytest.fixture
def images():
    return np.random.RandomState(0).randint(0, 256, (30, 32, 32, 3), np.uint8)


@pytest.fixture
def simsiam():
    return SimSiam(tiny(2), projector(16, 8), predictor(8))


def test_it_sees_normalized_images_in_inference_mode(images):
    model = pooled(None, keras.layers.Dropout(0.9))
    encoder = Encoder.of(model, Preprocessing(16, MEAN, STD))
    assert (encoder.image_size, encoder.preprocessing.mean) == (16, MEAN)
    expected = (images.mean(axis=(1, 2)) / 255 - MEAN) / STD
    np.testing.assert_allclose(encoder(images), expected, atol=0.01)
    function, preprocessing = encoder
    np.testing.assert_array_equal(function(images), encoder(images))
    assert preprocessing == Preprocessing(16, MEAN, STD)


def test_features_are_float32_whatever_the_model_computes_in(images):
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2, dtype="float16")]
    )
    assert Encoder.of(model)(images[:2]).dtype == tf.float32


def test_a_model_is_traced_once_however_often_it_is_evaluated(images):
    calls = []

    class Counted(keras.layers.Layer):
        def call(self, x):
            calls.append(1)
            return x

    model = pooled(None, Counted())
    monitor = KNNMonitor(images, np.arange(30) % 2, images, np.arange(30) % 2)
    monitor.set_model(model)
    calls.clear()
    for _ in range(3):
        monitor.evaluate()
    assert len(calls) == 1
    extract(Encoder.of(model, 32), images[:7])
    assert len(calls) == 1
    extract(Encoder.of(model, 16), images)
    assert len(calls) == 2


def test_a_second_evaluation_takes_a_tenth_of_the_first(images):
    model = resnet18(width=2)

    def seconds():
        started = time.perf_counter()
        extract(Encoder.of(model, 32), images)
        return time.perf_counter() - started

    first = seconds()
    assert min(seconds() for _ in range(3)) < first / 10


def test_it_uses_the_weights_of_now(images):
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), dense])
    before = extract(Encoder.of(model), images)
    dense.kernel.assign(2 * dense.kernel)
    np.testing.assert_allclose(extract(Encoder.of(model), images), 2 * before, rtol=1e-6)


def test_another_model_has_another_encoder(simsiam, images):
    mine = extract(Encoder.of(simsiam, 32), images)
    other = SimSiam(tiny(2), projector(16, 8), predictor(8))
    theirs = extract(Encoder.of(other, 32), images)
    assert np.abs(mine - theirs).max() > 0.01
    simsiam.backbone = other.backbone
    np.testing.assert_array_equal(extract(Encoder.of(simsiam, 32), images), theirs)


def test_a_loaded_model_has_its_own_encoder_and_a_saved_one_keeps_none(simsiam, images, tmp_path):
    mine = extract(Encoder.of(simsiam, 32), images)
    simsiam.compile("sgd")
    simsiam.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(extract(Encoder.of(loaded, 32), images), mine, atol=1e-5)
    for v in loaded.backbone.trainable_variables:
        v.assign(v + 0.1)
    assert np.abs(extract(Encoder.of(loaded, 32), images) - mine).max() > 0.01
    np.testing.assert_array_equal(extract(Encoder.of(simsiam, 32), images), mine)


def test_a_model_that_was_encoded_is_freed(images):
    model = pooled(32)
    encoder = Encoder.of(model)
    encoder(images)
    freed = weakref.ref(model)
    del model
    gc.collect()
    encoder(images)  # it keeps the model
    del encoder
    gc.collect()
    assert freed() is None


def test_a_model_knows_its_preprocessing(simsiam):
    simsiam.preprocessing = Preprocessing(24, MEAN, STD)
    assert preprocessing_of(simsiam) == Preprocessing(24, MEAN, STD)
    assert preprocessing_of(simsiam, 48) == Preprocessing(48, MEAN, STD)
    assert preprocessing_of(simsiam, Preprocessing(48)) == Preprocessing(48)
    assert preprocessing_of(simsiam, default_size=99).image_size == 24


def test_a_model_without_preprocessing_has_that_of_its_input(simsiam):
    assert preprocessing_of(pooled(24)) == Preprocessing(24)
    assert preprocessing_of(pooled(), 24) == Preprocessing(24)
    assert preprocessing_of(pooled(), default_size=24) == Preprocessing(24)
    assert preprocessing_of(pooled(24), default_size=99) == Preprocessing(24)
    assert preprocessing_of(SimSiam(pooled(24))) == Preprocessing(24)
    for model in (pooled(), simsiam):
        with pytest.raises(InputError, match=r"takes images of any size; give Preprocessing\("):
            Encoder.of(model)


def test_raw_pixels_are_the_normalized_pixels():
    images = np.random.RandomState(0).randint(0, 256, (7, 32, 32, 3), np.uint8)
    mean, std = raw_pixels.preprocessing.mean, raw_pixels.preprocessing.std
    expected = ((images / 255.0 - mean) / std).reshape(7, -1)
    np.testing.assert_allclose(raw_pixels(images), expected, atol=1e-5)
    large = np.repeat(np.repeat(images, 2, axis=1), 2, axis=2)
    assert raw_pixels(large).shape == (7, 3072)
