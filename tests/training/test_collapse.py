"""`CollapseMonitor` on models that collapse and models that do not."""

import json
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from keras_simsiam import (
    Augmentation,
    CollapseMonitor,
    SimSiam,
    paper_optimizers,
    predictor,
    projector,
    views,
)


@pytest.fixture(scope="module")
def images():
    return np.random.RandomState(0).randint(0, 256, (256, 8, 8, 3), np.uint8)


def train(images, monitor, stop_gradient, epochs=4, steps=100):
    keras.utils.set_random_seed(0)
    backbone = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(64, "relu")]
    )
    model = SimSiam(
        backbone, projector(64, 32, layers=2), predictor(32), stop_gradient=stop_gradient
    )
    model.compile(**paper_optimizers(64, steps * epochs, base_learning_rate=1.0))
    pairs = views(images, Augmentation.preset("cifar"), 64)
    return model.fit(
        pairs, epochs=epochs, steps_per_epoch=steps, verbose=0, shuffle=False, callbacks=[monitor]
    ).history


def test_it_does_not_warn_of_a_healthy_simsiam(images):
    monitor = CollapseMonitor(images)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*collapsing")
        history = train(images, monitor, stop_gradient=True)
    assert monitor.collapse is None
    assert history["loss"][-1] > -0.5
    assert history["z_std"][-1] > 0.9
    assert history["projector_rank"][-1] > 10
    assert history["projector_std"][-1] > 0.9
    assert len(monitor.spectra["projector"]) == 32
    assert (np.diff(monitor.spectra["backbone"]) <= 0).all()


def test_without_the_stop_gradient_it_warns_once_and_stops_the_training_if_asked_to(images):
    monitor = CollapseMonitor(images, stop=True)
    with pytest.warns(
        UserWarning, match=r"collapsing: z varies in only .* of 32 dimensions"
    ) as all_:
        history = train(images, monitor, stop_gradient=False, epochs=8)
    assert sum("collapsing" in str(w.message) for w in all_) == 1
    assert "stop-gradient" in monitor.collapse
    assert len(history["loss"]) < 8
    # As in the paper's Figure 2: the loss falls below a healthy one's, and z gathers.
    assert history["loss"][-1] < -0.55
    assert history["z_std"][-1] < 0.8


def test_one_point_for_all_images_is_a_complete_collapse(images):
    backbone = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    one_point = keras.Sequential(
        [
            keras.Input((192,)),
            keras.layers.Dense(16, kernel_initializer="zeros", bias_initializer="ones"),
        ]
    )
    model = SimSiam(backbone, one_point, predictor(16))
    monitor = CollapseMonitor(images)
    monitor.set_model(model)
    with pytest.warns(UserWarning, match="all images have nearly the same z"):
        monitor.on_epoch_end(0, {})


@pytest.mark.parametrize("momentum", [0.9, 0.999])
def test_it_says_what_training_says_while_running_averages_lag_behind(images, momentum):
    keras.utils.set_random_seed(0)
    deep = [keras.Input((8, 8, 3)), keras.layers.Flatten()]
    for _ in range(6):  # each makes its input half as large until there are averages of it
        shrinking = keras.initializers.RandomNormal(stddev=0.02)
        deep += [keras.layers.Dense(64, kernel_initializer=shrinking)]
        deep += [keras.layers.BatchNormalization(momentum=momentum), keras.layers.ReLU()]
    model = SimSiam(keras.Sequential(deep), projector(64, 32, layers=2), predictor(32))
    model.compile(**paper_optimizers(64, 4))
    monitor = CollapseMonitor(images)
    pairs = views(images, Augmentation.preset("cifar"), 64)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*collapsing")
        options = {"epochs": 1, "steps_per_epoch": 4, "verbose": 0, "shuffle": False}
        history = model.fit(pairs, callbacks=[monitor], **options).history
    assert monitor.collapse is None
    assert history["projector_std"][0] == pytest.approx(history["z_std"][0], abs=0.15)


class Noting(keras.layers.Layer):
    """Notes whether it is called outside of a graph."""

    def __init__(self):
        super().__init__()
        self.eager = []

    def call(self, x):
        self.eager.append(tf.executing_eagerly())
        return x


def test_it_never_has_all_activations_of_a_network_in_memory(images):
    """Outside of a graph each is kept until the last is computed: 20 GB for a ResNet-50."""
    noting = Noting()
    backbone = keras.Sequential([keras.Input((8, 8, 3)), noting, keras.layers.Flatten()])
    model = SimSiam(backbone, projector(192, 32, layers=2), predictor(32))
    model.compile(**paper_optimizers(64, 4))
    monitor = CollapseMonitor(images, preprocessing=8)
    monitor.set_model(model)
    noting.eager.clear()
    for steps in (0, 1):  # after one step, BatchNorm's running averages lag behind
        model.step_counter.assign(steps)
        monitor.measure()
    assert len(noting.eager) >= 2
    assert not any(noting.eager)


def test_a_collapse_in_the_first_steps_is_warned_of(images):
    normalized = keras.layers.BatchNormalization(momentum=0.9)
    backbone = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), normalized])
    one_point = keras.Sequential(
        [
            keras.Input((192,)),
            keras.layers.Dense(16, kernel_initializer="zeros", bias_initializer="ones"),
        ]
    )
    monitor = CollapseMonitor(images, stop=True)
    monitor.set_model(SimSiam(backbone, one_point, predictor(16)))
    monitor.model.step_counter.assign(3)
    with pytest.warns(UserWarning, match="all images have nearly the same z"):
        monitor.on_epoch_end(0, {})


@pytest.mark.parametrize("levels", [1, 2])
def test_images_that_hardly_differ_are_named_after_the_first_epoch(images, levels):
    monitor = CollapseMonitor(images % levels + 100)
    with pytest.warns(UserWarning, match="all images are nearly the same"):
        train(images % levels + 100, monitor, stop_gradient=True, epochs=1, steps=2)
    assert monitor.collapsed


def test_its_findings_are_restored_from_values_for_json(images):
    monitor, resumed = CollapseMonitor(images), CollapseMonitor(images)
    monitor.collapse, monitor.collapsed = "the representations are collapsing", True
    monitor.spectra = {"projector": np.linspace(1, 0, 7)}
    resumed.set_state(json.loads(json.dumps(monitor.get_state())))
    assert (resumed.collapse, resumed.collapsed) == (monitor.collapse, True)
    np.testing.assert_array_equal(resumed.spectra["projector"], monitor.spectra["projector"])
    resumed.set_state({})  # of a new run
    assert resumed.collapsed


def test_spectra_are_logged_to_tensorboard_each_epoch(images, tmp_path):
    monitor = CollapseMonitor(images, log_dir=str(tmp_path))
    train(images, monitor, stop_gradient=True, epochs=2)
    logged = EventAccumulator(str(tmp_path)).Reload()
    name = "log10 of projector singular values, the largest 1"
    assert {name, name.replace("projector", "backbone")} == set(logged.Tags()["tensors"])
    assert [event.step for event in logged.Tensors(name)] == [0, 1]
    buckets = tensor_util.make_ndarray(logged.Tensors(name)[-1].tensor_proto)  # left, right, count
    assert buckets[:, 2].sum() == 32
    share = monitor.spectra["projector"] / monitor.spectra["projector"][0]
    assert buckets[0, 0] == pytest.approx(np.log10(share[-1]), abs=1e-5)
    assert buckets[-1, 1] == pytest.approx(0, abs=1e-5)
