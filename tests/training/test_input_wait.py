"""The wait for input is measured in the steps, however batches get to them."""

import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam import presets
from keras_simsiam.data import ImageFiles
from keras_simsiam.training import input_wait
from keras_simsiam.training.devices import op_determinism
from keras_simsiam.training.input_wait import InputWait, remedies

STEPS = 12


class Sleeping(keras.Model):
    """A model whose steps take some time and do nothing."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds
        self.counter = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.built = True

    def train_step(self, data):
        slept = tf.numpy_function(lambda x: asleep(self.seconds, x), [data[0, 0]], tf.float32)
        return {"loss": tf.ensure_shape(slept, [])}


def asleep(seconds, value):
    time.sleep(seconds)
    return value


def waits(input_seconds, step_seconds, strategy, remedies=(), epochs=2):
    """What each epoch logs as its wait."""
    batches = tf.data.Dataset.range(10_000).map(lambda i: tf.fill([4, 1], tf.cast(i, tf.float32)))
    if input_seconds:
        batches = batches.map(
            lambda x: tf.ensure_shape(
                tf.numpy_function(lambda x: asleep(input_seconds, x), [x], tf.float32), [4, 1]
            )
        )
    with strategy.scope():
        model = Sleeping(step_seconds)
        model.compile("sgd")
    wait = InputWait(STEPS, remedies)
    logged = model.fit(
        wait.timed(batches.prefetch(2)),
        epochs=epochs,
        steps_per_epoch=STEPS,
        callbacks=[wait],
        verbose=0,
    )
    return logged.history["input_wait"]


@pytest.fixture(params=["one device", "mirrored"])
def strategy(request):
    mirrored = request.param == "mirrored"
    return tf.distribute.MirroredStrategy(["CPU:0"]) if mirrored else tf.distribute.get_strategy()


def test_a_slow_input_is_all_wait_and_an_instant_one_none(strategy, monkeypatch, capsys):
    monkeypatch.setattr(input_wait, "_LONG", 0.1)
    assert min(waits(0.05, 0.0, strategy, ["magic", "--more"], epochs=3)) > 0.7
    (line,) = capsys.readouterr().out.splitlines()
    assert "of the time of epoch 2 was spent waiting for images; what helps: magic; --more" in line
    assert max(waits(0.0, 0.05, strategy, ["magic"])) < 0.2
    assert capsys.readouterr().out == ""


def test_what_is_made_during_the_steps_is_no_wait(strategy):
    assert max(waits(0.01, 0.06, strategy)) < 0.3
    assert 0.3 < np.mean(waits(0.06, 0.03, strategy)) < 0.7


def test_a_pipeline_has_no_clock_where_operations_must_be_deterministic():
    assert InputWait.measurable()
    with op_determinism(True):
        assert not InputWait.measurable()


def test_what_helps_is_what_a_run_does_not_have_yet():
    def said(dataset, natively=False, service=None, **data):
        inputs = types.SimpleNamespace(images=files)
        run = presets.preset("imagenet").replace(data={"dataset": dataset, **data})
        return " ".join(remedies(run, inputs, natively, service))

    files = ImageFiles(["a.png"])
    for dataset in ("folder:photos", "records:photos"):
        assert ("keras_simsiam.pack" in said(dataset)) == (dataset == "folder:photos")
    assert "keras_simsiam.native" in said("cifar10")
    assert "keras_simsiam.native" not in said("cifar10", natively=True)
    assert "keras_simsiam.native" not in said("cifar10", augment_on="device")
    assert "--data-service" in said("cifar10")
    assert said("cifar10", service="grpc://10.0.0.1:5000") == "more workers of the data service"
