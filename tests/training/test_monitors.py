"""`KNNMonitor` in the fit of any model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam import InputError, KNNMonitor, Preprocessing, knn_accuracy
from keras_simsiam.evaluation import extract, raw_pixels
from keras_simsiam.training import prepare


def test_baselines_are_measured_on_at_most_so_many_images(two_colors, monkeypatch):
    images, labels = two_colors
    monitor = KNNMonitor(images, labels, images[::2], labels[::2], k=4)
    monkeypatch.setattr(prepare, "BASELINE_IMAGES", (15, 6))
    seen = []
    of_batch = raw_pixels.function
    monkeypatch.setattr(raw_pixels, "function", lambda b: seen.append(len(b)) or of_batch(b))
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D()])
    model.preprocessing = Preprocessing(8)
    found = prepare.measure_baselines(model, monitor)
    assert seen == [14, 5]
    bank, queries = (extract(raw_pixels, v) for v in (images[::3], images[::2][::4]))
    expected = knn_accuracy(bank, labels[::3], queries, labels[::2][::4], k=4)
    assert found["knn_top1_raw_pixels"] == expected.top1
    assert found["knn_top1_random_weights"] == 1.0


class Means(keras.Model):
    """A model that takes images of any size, and counts how often it is traced."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)
        self.traces = 0

    def call(self, x):
        self.traces += not tf.executing_eagerly()
        return self.dense(tf.reduce_mean(x, axis=(1, 2)))


@pytest.fixture(scope="module")
def two_colors():
    """Images of two classes, red and blue."""
    images = np.zeros((40, 8, 8, 3), np.uint8)
    images[:20, ..., 0] = np.random.RandomState(0).randint(100, 256, (20, 8, 8))
    images[20:, ..., 2] = np.random.RandomState(1).randint(100, 256, (20, 8, 8))
    return images, np.repeat([0, 1], 20)


@pytest.fixture
def model():
    model = Means()
    model.compile("sgd", "mse")
    return model


def fit(model, monitor, epochs):
    x, y = np.ones((12, 8, 8, 3), "f"), np.zeros((12, 2), "f")
    return model.fit(x, y, batch_size=4, epochs=epochs, callbacks=[monitor], verbose=0).history


def test_it_evaluates_any_model_every_few_epochs_and_after_the_last(two_colors, model):
    images, labels = two_colors
    monitor = KNNMonitor(images[::2], labels[::2], images[1::2], labels[1::2], every=2)
    history = fit(model, monitor, epochs=5)
    assert len(history["knn_top1"]) == 3  # after epochs 2, 4 and 5
    assert history["knn_top1"][-1] == monitor.latest.top1
    assert monitor.latest.top1 > 0.9
    assert monitor.k == 20


def test_every_0_evaluates_after_the_last_epoch_only(two_colors, model):
    images, labels = two_colors
    monitor = KNNMonitor(images, labels, images, labels, every=0)
    assert len(fit(model, monitor, epochs=3)["knn_top1"]) == 1


def test_epochs_say_which_is_the_last_if_fit_is_called_for_parts(two_colors, model):
    images, labels = two_colors
    monitor = KNNMonitor(images, labels, images, labels, every=0)
    monitor.epochs = 3
    assert "knn_top1" not in fit(model, monitor, epochs=1)
    assert monitor.latest is None
    assert len(fit(model, monitor, epochs=3)["knn_top1"]) == 1


def test_labels_are_required(two_colors):
    images, labels = two_colors
    with pytest.raises(InputError, match=r"query_labels must be class numbers, .*; got None"):
        KNNMonitor(images, labels, images, None)


def test_evaluations_share_one_trace_and_use_the_latest_weights(two_colors, model):
    images, labels = two_colors
    monitor = KNNMonitor(images, labels, images, labels)
    fit(model, monitor, epochs=1)
    traces = model.traces
    before = monitor.evaluate().top1
    for weight in model.dense.weights:
        weight.assign(tf.zeros_like(weight))
    assert monitor.evaluate().top1 < before
    assert model.traces == traces
