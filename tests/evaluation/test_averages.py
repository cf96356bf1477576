"""BatchNorm's running averages, replaced for a while where they lag behind."""

import warnings

import keras
import numpy as np
import pytest

from keras_simsiam import Augmentation, Encoder, Preprocessing, SimSiam, predictor, projector
from keras_simsiam.evaluation import extract
from keras_simsiam.evaluation.averages import lagging, settled
from keras_simsiam.evaluation.encoder import raw_pixels
from keras_simsiam.evaluation.retrieval import view_retrieval

PREPROCESSING = Preprocessing(8)


@pytest.fixture(scope="module")
def images():
    return np.random.RandomState(0).randint(0, 256, (128, 8, 8, 3), np.uint8)


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    backbone = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Flatten(),
            keras.layers.BatchNormalization(momentum=0.999, epsilon=1e-5),
            keras.layers.Dropout(0.5),
        ]
    )
    found = SimSiam(backbone, projector(192, 32, layers=2), predictor(32))
    found.step_counter.assign(10)
    return found


def test_within_the_block_features_are_normalized_by_the_images(model, images):
    encoder = Encoder.of(model, PREPROCESSING)
    lagged, weights = extract(encoder, images), model.get_weights()
    with (
        pytest.warns(UserWarning, match=r"momentum of 0\.999, lag behind in the first 4,603 steps"),
        settled(model, images, PREPROCESSING),
    ):
        found = extract(encoder, images)
    pixels = np.asarray(PREPROCESSING(images)).reshape(128, -1)
    halves = pixels.reshape(2, 64, -1)  # as batches
    variance = halves.var(axis=1).mean(axis=0)
    expected = (pixels - pixels.mean(axis=0)) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=1e-3)  # 1/64 of the variance
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(extract(encoder, images), lagged)


def test_averages_that_do_not_lag_and_models_that_are_not_trained_are_left_alone(model, images):
    assert len(lagging(model)) > 1  # in the projector, too
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for steps in (0, 10_000):
            model.step_counter.assign(steps)
            with settled(model, images, PREPROCESSING):
                assert not lagging(model)
        assert not lagging(model.backbone)


def test_views_are_found_by_what_does_not_change_in_them():
    images = np.random.RandomState(0).randint(0, 256, (96, 32, 32, 3), np.uint8)
    same = Augmentation.preset("none")
    assert view_retrieval(raw_pixels, images, same, 32) == 1.0
    assert view_retrieval(raw_pixels, images, Augmentation(), 32) < 0.5
    assert view_retrieval(raw_pixels, images[:1], same, 32) == 1.0
