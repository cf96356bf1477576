"""Throughput, checks for divergence, the history file and lines of progress."""

import csv
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam import InputError, TrainingDiverged
from keras_simsiam.training.callbacks import (
    AfterFirstStep,
    EpochLines,
    HistoryFile,
    StopOnBadLoss,
    Throughput,
    read_history,
)
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


def fit(model, callbacks, epochs=1, steps=3):
    x, y = np.ones((4 * steps, 8, 8, 3), "f"), np.zeros((4 * steps, 2), "f")
    return model.fit(x, y, batch_size=4, epochs=epochs, callbacks=callbacks, verbose=0)


def test_a_loss_that_is_not_finite_stops_the_training_at_its_step():
    model = Regression()
    model.compile(keras.optimizers.SGD(1e30), "mse")
    with pytest.raises(TrainingDiverged, match=r"the loss became (inf|nan) at step \d"):
        fit(model, [StopOnBadLoss()], steps=10)


def test_a_weight_that_is_not_finite_stops_the_training_before_a_checkpoint_is_saved(tmp_path):
    model = Regression()
    model.compile(keras.optimizers.SGD(0.0), "mse")

    class Spoil(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.dense.bias.assign([np.nan, 0.0])

    with pytest.raises(TrainingDiverged, match="bias is no longer finite at step 1"):
        fit(model, [Spoil(), StopOnBadLoss(), Checkpoints(tmp_path)], steps=1)
    assert not any(tmp_path.iterdir())


def test_history_file_has_a_row_per_epoch_and_continues_after_those_before(tmp_path):
    path = tmp_path / "history.csv"
    history = HistoryFile(path)
    history.add({"epoch": 0, "knn_top1": 0.5})
    for epoch in range(3):
        history.on_epoch_end(epoch, {"loss": -0.1 * epoch - 0.1, "z_std": 0.9, "minutes_left": 1.0})
    resumed = HistoryFile(path, history.rows[:3])  # the third epoch is trained again
    resumed.write()
    assert [row["epoch"] for row in read_history(path)] == [0, 1, 2]
    resumed.on_epoch_end(2, {"loss": -0.7})
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["loss"] for row in rows] == ["", "-0.1", "-0.2", "-0.7"]
    assert rows[0]["knn_top1"] == "0.5"
    assert "minutes_left" not in rows[0]  # differs between runs of one seed
    assert [p.name for p in tmp_path.iterdir()] == ["history.csv"]


def test_history_file_keeps_metrics_that_the_table_does_not_know(tmp_path):
    path = tmp_path / "history.csv"
    HistoryFile(path).on_epoch_end(0, {"loss": -0.1, "queue_age": 3.0})
    resumed = HistoryFile(path, read_history(path))
    resumed.on_epoch_end(1, {"loss": -0.2, "queue_age": 4.0, "ema_decay": 0.99})
    rows = read_history(path)
    assert [row["queue_age"] for row in rows] == [3.0, 4.0]
    assert "ema_decay" not in rows[0]
    assert rows[1]["ema_decay"] == 0.99


@pytest.mark.parametrize(
    "content",
    [b"epoch,loss\n1,x\n", b"epoch,loss\n1,2,3\n", b"loss\n1\n", b"\xff\xfe\n1\n", b"a\n\0\n"],
)
def test_a_damaged_history_is_named(content, tmp_path):
    (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"history\.csv' must") as caught:
        read_history(tmp_path / "history.csv")
    assert "\n" not in str(caught.value)


def test_epoch_lines_are_one_line_each_with_the_metrics_as_in_tables(capsys):
    lines = EpochLines(epochs=20)
    lines.on_epoch_end(0, {"loss": -0.3216, "z_std": 0.961, "minutes_left": 1.26})
    lines.on_epoch_end(4, {"knn_top1": 0.5759, "loss": -0.694, "z_std": 0.975})
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1/20: loss -0.322, z_std 0.96, minutes left 1.3",
        "epoch 5/20: loss -0.694, z_std 0.97, kNN top-1 57.6%",
    ]


def test_throughput_counts_images_after_the_first_step():
    model = Regression()
    model.compile("sgd", "mse")
    throughput = Throughput(batch_size=4, steps=6)
    assert throughput.images_per_second is None
    history = fit(model, [throughput], epochs=2).history
    assert throughput.steps_timed == 5
    assert throughput.images_per_second == pytest.approx(20 / throughput.seconds)
    assert history["images_per_second"][-1] > 0
    assert history["minutes_left"][0] > history["minutes_left"][-1] == 0


def test_what_waits_for_the_first_step_is_done_once_and_not_counted_as_training():
    model = Regression()
    model.compile("sgd", "mse")
    steps = []

    def act():
        steps.append(model.steps_done)
        time.sleep(2)

    throughput = Throughput(batch_size=4, steps=3)
    fit(model, [AfterFirstStep(act), throughput])
    assert steps == [1]
    assert throughput.seconds < 2
    fit(model, [AfterFirstStep(act)], steps=1)
    assert steps == [1, 4]
