"""Callbacks in anybody's fit."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam import KNNMonitor, TrainingDiverged
from keras_simsiam.training.callbacks import HistoryFile, StopOnBadLoss, Throughput
from keras_simsiam.training.checkpoints import Checkpoints


class Regression(keras.Model):
    """The smallest model with `steps_done`."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, x):
        return self.dense(tf.reduce_mean(x, axis=(1, 2)))

    @property
    def steps_done(self):
        return int(self.optimizer.iterations.numpy())


@pytest.fixture(scope="module")
def two_colors():
    """Images of two classes, red and blue, and as many test images."""
    images = np.zeros((40, 8, 8, 3), np.uint8)
    images[:20, ..., 0] = np.random.RandomState(0).randint(100, 256, (20, 8, 8))
    images[20:, ..., 2] = np.random.RandomState(1).randint(100, 256, (20, 8, 8))
    return images, np.repeat([0, 1], 20)


def fit(model, callbacks, epochs=1, steps=3):
    x, y = np.ones((4 * steps, 8, 8, 3), "f"), np.zeros((4 * steps, 2), "f")
    return model.fit(x, y, batch_size=4, epochs=epochs, callbacks=callbacks, verbose=0)


def test_knn_monitor_works_in_the_fit_of_any_model(two_colors):
    images, labels = two_colors
    model = Regression()
    model.compile("sgd", "mse")
    monitor = KNNMonitor(images[::2], labels[::2], images[1::2], labels[1::2], every=2)
    history = fit(model, [monitor], epochs=5).history
    assert len(history["knn_top1"]) == 3  # after epochs 2, 4 and the last
    assert history["knn_top1"][-1] == monitor.latest.top1
    assert monitor.latest.top1 > 0.9
    assert monitor.k == 20


def test_knn_monitor_evaluates_only_at_the_end_where_asked_to(two_colors):
    images, labels = two_colors
    model = Regression()
    model.compile("sgd", "mse")
    monitor = KNNMonitor(images, labels, images, labels, every=0)
    assert len(fit(model, [monitor], epochs=3).history["knn_top1"]) == 1


def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_step():
    model = Regression()
    model.compile(keras.optimizers.SGD(1e30), "mse")
    with pytest.raises(TrainingDiverged, match=r"the loss became (inf|nan) at step \d"):
        fit(model, [StopOnBadLoss()], steps=10)


def test_a_weight_that_is_not_finite_is_noticed_before_a_checkpoint_is_written(tmp_path):
    model = Regression()
    model.compile(keras.optimizers.SGD(0.0), "mse")

    class Spoil(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.dense.bias.assign([np.nan, 0.0])

    with pytest.raises(TrainingDiverged, match="bias is no longer finite at step 1"):
        fit(model, [Spoil(), StopOnBadLoss(), Checkpoints(tmp_path)], steps=1)
    assert not any(tmp_path.iterdir())


def test_history_file_has_a_row_an_epoch_and_goes_on_where_it_was(tmp_path):
    path = tmp_path / "history.csv"
    history = HistoryFile(path)
    history.add({"epoch": 0, "knn_top1": 0.5})
    for epoch in range(3):
        history.on_epoch_end(epoch, {"loss": -0.1 * epoch - 0.1, "z_std": 0.9, "ignored": 1.0})
    resumed = HistoryFile(path, first_epoch=2)  # the third epoch will be trained again
    assert [row["epoch"] for row in resumed.rows] == [0, 1, 2]
    resumed.on_epoch_end(2, {"loss": -0.7})
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["loss"] for row in rows] == ["", "-0.1", "-0.2", "-0.7"]
    assert rows[0]["knn_top1"] == "0.5"


def test_throughput_counts_images_after_the_first_step():
    model = Regression()
    model.compile("sgd", "mse")
    throughput = Throughput(batch_size=4, steps=6)
    assert throughput.images_per_second is None
    history = fit(model, [throughput], epochs=2).history
    assert throughput.steps_timed == 5
    assert throughput.images_per_second == pytest.approx(20 / throughput.seconds)
    assert history["images_per_second"][-1] > 0
