"""The paper's optimizer and schedules; `test_simsiam` holds it to PyTorch's steps."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import weights_of
from helpers.backbones import tiny

from keras_simsiam import (
    LARS,
    SGD,
    InputError,
    SimSiam,
    _compat,
    paper_optimizers,
    predictor,
    projector,
)


def make_again(optimizer):
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))


def needs_addons(name):
    if name in ("sgdw", "lamb") and not _compat.KERAS_3:
        pytest.importorskip("tensorflow_addons", reason="needs pip install '.[addons]'")


def test_sgd_adds_the_decay_to_the_gradient_and_keeps_the_rate_out_of_the_velocity():
    (weight,) = weights_of([1.0, -2.0])
    optimizer = SGD(0.5, momentum=0.9, weight_decay=0.01)
    optimizer.build([weight])
    w, v = np.array([1.0, -2.0]), np.zeros(2)
    for rate, gradient in ((0.5, [0.3, 0.1]), (0.1, [-0.2, 0.4]), (0.7, [0.0, 0.0])):
        optimizer.learning_rate.assign(rate)
        optimizer.apply_gradients([(tf.constant(gradient), weight)])
        v = 0.9 * v + (np.array(gradient) + 0.01 * w)  # torch.optim.SGD's documented order
        w = w - rate * v
        np.testing.assert_allclose(weight.numpy(), w, rtol=1e-6)


def test_sgd_without_momentum_is_plain_descent():
    (weight,) = weights_of([1.0])
    optimizer = SGD(0.1, momentum=0.0, weight_decay=0.5)
    optimizer.build([weight])
    optimizer.apply_gradients([(tf.constant([2.0]), weight)])
    np.testing.assert_allclose(weight.numpy(), [1 - 0.1 * 2.5], rtol=1e-6)


def test_sgd_is_made_again_from_its_config():
    made = SGD.from_config(SGD(0.3, momentum=0.8, weight_decay=0.02).get_config())
    assert (made.momentum, made.coupled_weight_decay) == (0.8, 0.02)
    assert float(tf.convert_to_tensor(made.learning_rate)) == pytest.approx(0.3)
    assert made.weight_decay is None  # Keras must not decay as well


def test_encoder_follows_a_cosine_and_predictor_keeps_its_rate():
    pair = paper_optimizers(batch_size=512, steps=100, base_learning_rate=0.05)
    schedule = pair["optimizer"]._learning_rate
    for step in (0, 25, 50, 99):
        expected = 0.1 * 0.5 * (1 + math.cos(math.pi * step / 100))
        assert float(schedule(step)) == pytest.approx(expected, abs=1e-7)
    assert float(tf.convert_to_tensor(pair["predictor_optimizer"].learning_rate)) == pytest.approx(
        0.1
    )


def test_warm_up_rises_from_zero_and_the_cosine_follows():
    schedule = paper_optimizers(1024, 100, warmup_steps=10)["optimizer"]._learning_rate
    rate = 0.05 * 4
    assert [float(schedule(s)) for s in (0, 5, 10)] == pytest.approx([0, rate / 2, rate])
    assert float(schedule(55)) == pytest.approx(rate / 2)
    assert float(schedule(100)) == pytest.approx(0, abs=1e-7)


def test_predictor_follows_the_same_cosine_where_asked_to():
    pair = paper_optimizers(512, 100, predictor_decay=True)
    assert float(pair["predictor_optimizer"]._learning_rate(50)) == pytest.approx(0.05)


@pytest.mark.parametrize("again", [False, True], ids=["made", "made again from its config"])
@pytest.mark.parametrize("name", ["sgdw", "lamb", "lars"])
def test_alternatives_take_the_steps_of_addons_and_lightly(name, again, reference):
    """On both generations of Keras; each has 5 of 8 steps of a cosine, decay and momentum."""
    needs_addons(name)
    arrays = reference("optimizers")
    matrix, vector = weights_of(arrays["initial/matrix"], arrays["initial/vector"])
    pair = paper_optimizers(
        256, 8, base_learning_rate=0.1, momentum=0.8, weight_decay=0.05, optimizer=name
    )
    optimizer = make_again(pair["optimizer"]) if again else pair["optimizer"]
    _compat.build(optimizer, [matrix, vector])
    for step in range(5):
        rate = 0.1 * 0.5 * (1 + math.cos(math.pi * step / 8))
        assert float(_compat.learning_rate(optimizer)) == pytest.approx(rate, rel=1e-5)
        gradients = [tf.constant(arrays[f"gradients/{v}"][step]) for v in ("matrix", "vector")]
        _compat.apply_gradients(optimizer, gradients, [matrix, vector])
        for variable, which in ((matrix, "matrix"), (vector, "vector")):
            expected = arrays[f"{name}/{which}"][step]
            np.testing.assert_allclose(variable.numpy(), expected, rtol=2e-6, atol=1e-7)


def test_a_constant_rate_decays_the_weights_as_much_as_a_schedule():
    needs_addons("sgdw")
    for decay in (False, True):
        pair = paper_optimizers(
            256, 10**9, 0.1, weight_decay=0.05, predictor_decay=decay, optimizer="sgdw"
        )
        (weight,) = weights_of([2.0])
        _compat.build(pair["predictor_optimizer"], [weight])
        _compat.apply_gradients(pair["predictor_optimizer"], [tf.constant([0.0])], [weight])
        np.testing.assert_allclose(weight.numpy(), [2.0 * (1 - 0.1 * 0.05)], rtol=1e-6)


def test_lars_takes_the_plain_step_where_the_weight_is_zero():
    (weight,) = weights_of([0.0, 0.0])
    optimizer = LARS(0.1, momentum=0.0, weight_decay=0.5)
    optimizer.build([weight])
    optimizer.apply_gradients([(tf.constant([3.0, -4.0]), weight)])
    np.testing.assert_allclose(weight.numpy(), [-0.3, 0.4], rtol=1e-6)


def apply(optimizer, weight, gradients):
    _compat.build(optimizer, [weight])
    for gradient in gradients:
        _compat.apply_gradients(optimizer, [tf.constant(gradient)], [weight])
    return weight.numpy()


def test_adam_takes_the_steps_that_it_is_defined_by():
    gradients = np.array([[0.3, -1.0], [-0.2, 0.4], [0.1, 0.1]], np.float32)
    pair = paper_optimizers(256, 9, 0.01, weight_decay=0.0, optimizer="adam", schedule="constant")
    found = apply(pair["optimizer"], weights_of([1.0, -2.0])[0], gradients)
    w, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    for t, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(found, w, rtol=1e-5)


@pytest.mark.parametrize("warmup_steps", [0, 4])
def test_a_constant_rate_stays_after_its_warmup(warmup_steps):
    pair = paper_optimizers(256, 20, 0.3, warmup_steps=warmup_steps, schedule="constant")
    (weight,) = weights_of([0.0])
    _compat.build(pair["optimizer"], [weight])
    rates = []
    for _ in range(20):
        rates.append(float(_compat.learning_rate(pair["optimizer"])))
        _compat.apply_gradients(pair["optimizer"], [tf.constant([0.0])], [weight])
    np.testing.assert_allclose(rates[warmup_steps:], 0.3, rtol=1e-6)
    assert rates[:warmup_steps] == sorted(rates[:warmup_steps])
    assert rates[0] == pytest.approx(0.0 if warmup_steps else 0.3)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_gradients_that_are_never_zeroed_add_up(name):
    gradients = np.array([[0.3], [-0.2], [0.4]], np.float32)
    settings = {"weight_decay": 0.0, "optimizer": name, "schedule": "constant"}
    summing = paper_optimizers(256, 9, 0.1, zero_gradients=False, **settings)["optimizer"]
    plain = paper_optimizers(256, 9, 0.1, **settings)["optimizer"]
    found = apply(make_again(summing), weights_of([1.0])[0], gradients)
    expected = apply(plain, weights_of([1.0])[0], np.cumsum(gradients, axis=0))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_optimizers_without_never_zeroed_gradients_say_so():
    with pytest.raises(InputError, match="zero_gradients must be one of sgd, adam; got 'lars'"):
        paper_optimizers(64, 10, optimizer="lars", zero_gradients=False)


def test_an_unknown_optimizer_is_an_error_that_names_those_there_are():
    with pytest.raises(
        InputError, match="optimizer must be one of sgd, sgdw, lamb, lars, adam; got 'rmsprop'"
    ):
        paper_optimizers(64, 10, optimizer="rmsprop")


@pytest.mark.parametrize(
    ("name", "policy"),
    [("sgdw", "float32"), ("lamb", "float32"), ("lars", "float32"), ("lamb", "mixed_float16")],
)
def test_a_saved_model_goes_on_as_if_it_had_never_been_saved(name, policy, tmp_path):
    needs_addons(name)
    pairs = tf.random.stateless_normal([3, 2, 8, 16, 16, 3], [0, 0])
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = SimSiam(tiny(2), projector(16, 8, layers=2), predictor(8))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    model.compile(**paper_optimizers(256, 8, optimizer=name))
    for pair in pairs[:2]:
        model.train_step(tuple(pair))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    logs = [m.train_step(tuple(pairs[2])) for m in (model, again)]
    assert float(logs[0]["learning_rate"]) == float(logs[1]["learning_rate"])
    for part in ("backbone", "projector", "predictor"):
        for x, y in zip(getattr(model, part).weights, getattr(again, part).weights, strict=True):
            np.testing.assert_array_equal(x.numpy(), y.numpy())
