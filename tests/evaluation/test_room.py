"""Features that do not fit into memory are held in a file, or refused before they are computed."""

import shutil
import types

import numpy as np
import pytest

from keras_simsiam import InputError, KNNMonitor, Preprocessing, resnet18
from keras_simsiam.environment import free_memory
from keras_simsiam.evaluation import Encoder, extract, knn_accuracy, raw_pixels, room


@pytest.fixture
def limit(monkeypatch):
    """Sets how many bytes of memory and of disk are free."""

    def to(memory, disk):
        monkeypatch.setattr(room, "free_memory", lambda: memory)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=disk))

    return to


def test_features_that_do_not_fit_into_memory_are_mapped_from_a_file(limit):
    images = np.random.RandomState(0).randint(0, 256, (300, 32, 32, 3), np.uint8)
    labels = np.arange(300) % 3
    held = extract(raw_pixels, images)
    limit(memory=4 * held.size, disk=10**9)
    with pytest.warns(UserWarning, match=r"features of 300 images take 0.0 GB and do not fit"):
        mapped = extract(raw_pixels, images)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, held)
    assert knn_accuracy(mapped, labels, mapped, labels, k=5) == knn_accuracy(
        held, labels, held, labels, k=5
    )


def test_what_fits_nowhere_is_refused_with_the_number_and_what_would_fit(limit):
    limit(memory=4_000_000_000, disk=1_000_000_000)
    expected = (
        r"features of 1,281,167 images, 2,048 numbers each, take 10.5 GB, but 4.0 GB of memory and "
        r"1.0 GB in .* are free; at most 390,625 images fit"
    )
    with pytest.raises(InputError, match=expected):
        room.for_features(1_281_167, 2048)


def test_training_is_refused_before_its_first_step(limit):
    images, labels = np.zeros((8, 32, 32, 3), np.uint8), np.zeros(8, int)
    monitor = KNNMonitor(images, labels, images, labels)
    limit(memory=100, disk=100)
    with pytest.raises(InputError, match=r"features of 16 images, 16 numbers each"):
        monitor.set_model(resnet18(width=2))


def test_encoders_are_not_run_on_more_than_a_batch_if_there_is_no_room(limit):
    called = []

    def features(images):
        called.append(len(images))
        return np.zeros((len(images), 4), np.float32)

    limit(memory=100, disk=100)
    with pytest.raises(InputError, match="at most 6 images fit"):
        extract(Encoder(features, Preprocessing(32)), np.zeros((1000, 32, 32, 3), np.uint8))
    assert len(called) == 1


def test_free_memory_is_at_most_that_of_the_machine():
    free = free_memory()
    if free is None:
        pytest.skip("this system does not say how much memory is free")
    assert 2**20 < free < 2**50
