"""Mixed precision: what is rounded, what is not, and what becomes of steps that overflow."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.backbones import tiny

from keras_simsiam import (
    Augmentation,
    Preprocessing,
    SimSiam,
    _compat,
    export_encoder,
    load,
    load_encoder,
    paper_optimizers,
    predictor,
    projector,
    resnet18,
    views,
)
from keras_simsiam.models.gradients import NOT_FINITE

HALF = ("mixed_bfloat16", "mixed_float16")
ROUNDING = {"mixed_bfloat16": 2.0**-8, "mixed_float16": 2.0**-11}


@pytest.fixture(autouse=True)
def float32_afterwards():
    yield
    keras.mixed_precision.set_global_policy("float32")


def cifar_resnet(width):
    return resnet18(width, "cifar")


def make(policy, network=tiny, width=4):
    keras.mixed_precision.set_global_policy(policy)
    keras.utils.set_random_seed(0)
    backbone = network(width)
    model = SimSiam(backbone, projector(8 * width, 32, layers=2), predictor(32))
    model.compile(**paper_optimizers(32, 200, base_learning_rate=2.0))
    return model


@pytest.fixture(scope="module")
def images():
    coarse = np.random.RandomState(0).randint(0, 256, (256, 4, 4, 3)).astype(np.float32)
    return tf.cast(tf.clip_by_value(tf.image.resize(coarse, (16, 16)), 0, 255), tf.uint8).numpy()


@pytest.fixture(scope="module")
def pair(images):
    return next(iter(views(images, Augmentation.preset("cifar"), 64)))


def gradients(policy, pair):
    model = make(policy, cifar_resnet)
    with tf.GradientTape() as tape:
        loss, z1 = model.forward(pair, training=True)
        scaled = _compat.scale_loss(model.optimizer, loss)
    found = tape.gradient(scaled, model.trainable_variables)
    flat = np.concatenate([np.asarray(g, np.float64).ravel() for g in found])
    return loss, z1, flat / float(scaled / loss)


@pytest.mark.parametrize("policy", HALF)
def test_gradients_are_those_of_float32_within_rounding(policy, pair):
    """BatchNorm enlarges rounding; so the measure is what rounding of the input alone does."""
    loss, _, exact = gradients("float32", pair)
    half_loss, half_z1, rounded = gradients(policy, pair)
    assert half_loss.dtype == tf.float32
    assert half_z1.dtype != tf.float32
    assert float(half_loss) == pytest.approx(float(loss), abs=2 * ROUNDING[policy])
    noise = ROUNDING[policy] * tf.random.stateless_normal(pair[0].shape, (1, 2))
    _, _, of_noisy_input = gradients("float32", tuple(x * (1 + noise) for x in pair))
    error, usual = (np.linalg.norm(g - exact) for g in (rounded, of_noisy_input))
    # Keras 2 computes the BatchNorm of the heads in half precision.
    assert error < (2 if _compat.KERAS_3 else 3) * usual < 0.5 * np.linalg.norm(exact)
    assert error > 0.1 * usual  # it did compute in half precision


@pytest.mark.parametrize("policy", HALF)
def test_weights_statistics_and_logs_stay_float32(policy, pair):
    model = make(policy)
    dtypes = {tf.as_dtype(w.dtype).name for w in model.weights}
    assert dtypes - {"int64", "int32", "uint32"} == {"float32"}
    logs = model.train_step(pair)
    assert logs["loss"].dtype == logs["z_std"].dtype == tf.float32


@pytest.mark.parametrize("policy", HALF)
def test_exported_features_are_float32_and_the_models(policy, pair, tmp_path):
    model = make(policy)
    export_encoder(model, tmp_path / "encoder", 16)
    encode = load_encoder(tmp_path / "encoder")[0]
    pixels = np.random.RandomState(1).randint(0, 256, (4, 16, 16, 3), np.uint8)
    features = encode(pixels)
    assert features.dtype == tf.float32
    expected = model.predict(Preprocessing(16)(pixels), verbose=0).astype(np.float32)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(features, expected, rtol=0, atol=4 * ROUNDING[policy])


def test_a_step_that_overflows_in_float16_is_skipped_whole_and_the_scale_halves(pair):
    model = make("mixed_float16")
    optimizers = (model.optimizer, model.predictor_optimizer)
    for optimizer in optimizers:
        _compat.loss_scale(optimizer).assign(2.0**40)
    trained = [w.numpy() for w in model.trainable_variables]
    model.train_step(pair)
    for before, after in zip(trained, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(before, after)
    assert [float(_compat.loss_scale(o)) for o in optimizers] == [2.0**39] * 2
    skipped = 0 if _compat.KERAS_3 else 1  # Keras 2 counts such steps
    assert [int(o.iterations) for o in optimizers] == [skipped] * 2
    assert model.steps_done == 1
    for optimizer in optimizers:
        _compat.loss_scale(optimizer).assign(2.0**10)
    model.train_step(pair)
    assert [int(o.iterations) for o in optimizers] == [skipped + 1] * 2
    assert any(
        (before != after.numpy()).any()
        for before, after in zip(trained, model.trainable_variables, strict=True)
    )


def test_loss_scale_is_kept_by_a_file(tmp_path, pair):
    model = make("mixed_float16")
    _compat.loss_scale(model.optimizer).assign(64.0)
    model.train_step(pair)
    model.save(tmp_path / "model.keras")
    keras.mixed_precision.set_global_policy("float32")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert float(_compat.loss_scale(again.optimizer)) == 64.0
    assert again.steps_done == 1
    for expected, found in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(expected.numpy(), found.numpy())


@pytest.mark.slow
def test_200_steps_of_each_precision_end_near_the_loss_of_float32():
    images = load("photo_patches").images[:, ::2, ::2]  # CPUs are slow at half precision
    losses = {}
    for policy in ("float32", *HALF):
        model = make(policy, width=8)
        pairs = views(images, Augmentation.preset("cifar"), 32)
        history = model.fit(pairs, steps_per_epoch=50, epochs=4, verbose=0, shuffle=False).history
        losses[policy] = history["loss"][-1]
    assert losses["float32"] < -0.4
    for policy in HALF:
        assert losses[policy] == pytest.approx(losses["float32"], abs=0.05)


def test_a_gradient_that_is_not_finite_in_float32_names_its_layer_and_changes_nothing(pair):
    model = make("float32")
    model.predictor.get_layer("fc2").kernel.assign(np.full((8, 32), np.nan))
    before = [w.numpy() for w in model.backbone.weights if "moving" not in _compat.path_of(w)]
    pairs = tf.data.Dataset.from_tensors(pair).repeat()
    with pytest.raises(tf.errors.InvalidArgumentError, match=NOT_FINITE) as caught:
        model.fit(pairs, steps_per_epoch=1, verbose=0, shuffle=False)
    assert "conv1/kernel" in str(caught.value)
    after = [w.numpy() for w in model.backbone.weights if "moving" not in _compat.path_of(w)]
    for x, y in zip(before, after, strict=True):
        np.testing.assert_array_equal(x, y)
