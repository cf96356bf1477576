"""Several processes share out an evaluation, and each has the result of one that is alone.

Here they are threads, which exchange arrays in place of TensorFlow's processes; with processes, see
``training/test_devices.py``.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam import KNNMonitor, TrainingDiverged, knn_accuracy
from keras_simsiam.data import ImageFiles
from keras_simsiam.errors import LostWorker
from keras_simsiam.evaluation import (
    Encoder,
    augmented_features,
    extract,
    linear,
    linear_predict,
    raw_pixels,
)
from keras_simsiam.evaluation.nearest import nearest
from keras_simsiam.workers import ALONE, Workers


class Thread(Workers):
    """One of some threads that stand for processes."""

    def __init__(self, index, barrier, sent):
        super().__init__()
        self.index, self.count = index, barrier.parties
        self._barrier, self._sent = barrier, sent

    def gather(self, rows):
        self._sent[self.index] = rows
        self._barrier.wait()
        gathered = np.concatenate([self._sent[i] for i in range(self.count)])
        self._barrier.wait()
        return gathered


def together(count, compute):
    """What `compute` returns to each of some workers."""
    barrier, sent = threading.Barrier(count, timeout=60), {}
    with ThreadPoolExecutor(count) as pool:
        return [*pool.map(compute, [Thread(i, barrier, sent) for i in range(count)])]


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (11, 32, 32, 3), np.uint8)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("count", [2, 3, 12])
def test_all_get_the_features_of_every_image_in_order(count, images):
    for found in together(count, lambda worker: extract(raw_pixels, images, worker)):
        np.testing.assert_array_equal(found, extract(raw_pixels, images))


def test_so_do_they_from_files_and_of_random_crops(images, tmp_path):
    for i, image in enumerate(images):
        keras.utils.save_img(tmp_path / f"{i:02}.png", image, scale=False)
    files = ImageFiles([str(path) for path in sorted(tmp_path.iterdir())])

    def cropped(workers):
        return augmented_features(raw_pixels, files, 1, workers)(2)

    for found in together(2, cropped):
        np.testing.assert_array_equal(found, cropped(ALONE))


def test_each_computes_only_its_share_of_the_images(images):
    monitor = KNNMonitor(images, np.arange(11) % 2, images[:5], np.arange(5) % 2, k=3)
    encoded = []

    def noting(batch):
        encoded.append(len(batch))
        return raw_pixels(batch)

    encoder = Encoder(noting, raw_pixels.preprocessing)
    found = together(2, lambda worker: monitor.evaluate(encoder, worker))
    assert found == 2 * [monitor.evaluate(raw_pixels)]
    assert sorted(encoded) == [2, 3, 5, 6]


@pytest.mark.parametrize(("count", "k"), [(2, 5), (3, 40), (7, 60)])
def test_neighbors_are_those_in_the_whole_bank_of_equal_ones_the_first(count, k, rng):
    bank = rng.integers(-2, 3, (60, 4)).astype(np.float32)  # many are equal
    bank[:, 0] += 5  # none is zero
    queries = rng.normal(size=(30, 4)).astype(np.float32)
    expected = nearest(bank, queries, k)
    for similarity, rows in together(
        count, lambda worker: nearest(bank[worker.share], queries, k, worker)
    ):
        np.testing.assert_allclose(similarity, expected[0], atol=1e-6)
        np.testing.assert_array_equal(rows, expected[1])


@pytest.mark.parametrize("count", [2, 8])
def test_each_tries_some_of_the_learning_rates_and_all_choose_the_same(count, rng, monkeypatch):
    labels = np.arange(200) % 4
    bank = np.eye(4)[labels] + rng.normal(0, 0.6, (200, 4))
    expected = linear_predict(bank, labels, bank, epochs=3)
    tried, run = [], linear._Training.run

    def noting(self, kept, rates):
        tried.append(len(rates))
        return run(self, kept, rates)

    monkeypatch.setattr(linear._Training, "run", noting)
    for predicted, rate in together(
        count, lambda worker: linear_predict(bank, labels, bank, epochs=3, workers=worker)
    ):
        assert rate == expected[1]
        np.testing.assert_array_equal(predicted[:, 0], expected[0][:, 0])
    assert sorted(tried) == [1] * count + {2: [3, 4], 8: [1] * 8}[count]


def test_labels_of_a_share_only_are_refused(rng):
    bank = rng.normal(size=(9, 4))

    def of_its_share(worker):
        with pytest.raises(ValueError, match=r"bank_labels must be class numbers, integers \[9\]"):
            knn_accuracy(bank[worker.share], np.zeros(3), bank, np.zeros(9), 3, workers=worker)

    together(3, of_its_share)


def test_what_one_refuses_ends_all_with_its_message():
    def refusing(worker):
        with worker.agreed():
            if worker.index == 1:
                raise KeyError("no such thing")

    def of_worker(worker):
        kind = KeyError if worker.index == 1 else LostWorker
        with pytest.raises(kind, match="no such thing"):
            refusing(worker)

    together(3, of_worker)


def test_the_others_start_when_the_chief_is_done():
    done = []

    def work(worker):
        time.sleep(0.2 if worker.chief else 0)
        done.append(worker.index)
        return worker.index

    assert together(3, lambda worker: worker.chief_first(lambda: work(worker))) == [0, 1, 2]
    assert done[0] == 0


def test_features_that_are_not_finite_in_one_share_end_all(images):
    images[:] = 100
    images[4] = 200
    monitor = KNNMonitor(images, np.arange(11) % 2, images[:3], np.arange(3) % 2)
    encoder = Encoder(
        lambda batch: tf.math.log(200 - raw_pixels_in_bytes(batch)), raw_pixels.preprocessing
    )

    def of_worker(worker):
        with pytest.raises(TrainingDiverged, match="no longer finite"):
            monitor.evaluate(encoder, worker)

    together(3, of_worker)


def raw_pixels_in_bytes(batch):
    return tf.reshape(tf.cast(batch, tf.float32), [len(batch), -1])
