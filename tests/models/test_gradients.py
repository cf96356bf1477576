"""Gradients of a batch in parts: those of the whole batch, as far as BatchNorm allows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.backbones import tiny

import keras_simsiam as ks
from keras_simsiam import InputError
from keras_simsiam.config import Training


def views(images=8):
    draw = np.random.default_rng(0).standard_normal
    return tuple(tf.constant(draw((images, 16, 16, 3), np.float32)) for _ in range(2))


def simsiam(batch_norm, accumulate):
    """A model of the same weights each time, compiled with a rate of 1."""
    keras.utils.set_random_seed(0)
    if batch_norm:
        backbone = tiny()
    else:
        images = keras.Input((None, None, 3))
        x = keras.layers.ReLU()(keras.layers.Conv2D(8, 3, 2)(images))
        backbone = keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))
    where = "hidden" if batch_norm else "none"
    heads = ks.projector(8, 16, layers=2, batch_norm=where), ks.predictor(16, batch_norm=where)
    model = ks.SimSiam(backbone, *heads)
    model.compile(ks.SGD(1.0, momentum=0.0), accumulate=accumulate)
    return model


def trained(model):
    return [v.numpy() for v in model.trainable_variables]


@pytest.mark.parametrize("weighted", [False, True])
def test_without_batch_norm_a_step_in_parts_is_that_of_the_whole_batch(weighted):
    weights = np.linspace(0, 2, 8, dtype=np.float32) if weighted else None
    whole, parts = simsiam(False, 1), simsiam(False, 4)
    logs = [m.train_on_batch(*views(), sample_weight=weights) for m in (whole, parts)]
    np.testing.assert_allclose(logs[1], logs[0], rtol=1e-5)
    for a, b in zip(trained(parts), trained(whole), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_with_batch_norm_a_step_is_the_mean_of_the_parts_own():
    model = simsiam(True, 2)
    before, steps = trained(model), []
    for part in range(2):
        alone = simsiam(True, 1)
        alone.train_on_batch(*(v[part::2] for v in views()))
        steps.append([b - a for a, b in zip(before, trained(alone), strict=True)])
    model.train_on_batch(*views())
    for old, new, *moved in zip(before, trained(model), *steps, strict=True):
        np.testing.assert_allclose(new - old, np.mean(moved, axis=0), atol=1e-6)
    assert model.steps_done == 1


def test_a_loaded_model_goes_on_in_parts(tmp_path):
    model = simsiam(True, 4)
    model.train_on_batch(*views())
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.accumulate == 4
    for m in (model, loaded):
        m.train_on_batch(*views())
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_queue_gets_the_keys_of_all_parts():
    model = ks.MoCo(tiny(), ks.projector(8, 4, layers=1), queue=32)
    model.compile(ks.SGD(0.1), accumulate=4, run_eagerly=True)
    model.train_on_batch(*views())
    assert int(model.place.numpy()) == 16


def test_a_batch_that_cannot_be_parted_is_refused():
    with pytest.raises(InputError, match=r"a multiple of 3 images on each device.*got 8"):
        simsiam(False, 3).train_on_batch(*views())
    with pytest.raises(InputError, match="accumulate must be at least 1; got 0"):
        simsiam(False, 0)
    for batch_size, accumulate in ((10, 4), (4, 4)):
        with pytest.raises(InputError, match="batch_size must be a multiple of accumulate, 4"):
            Training(batch_size=batch_size, accumulate=accumulate)
