"""SimSiam against five training steps of PyTorch's, and what its options do to gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.backbones import tiny

from keras_simsiam import (
    Augmentation,
    InputError,
    SimSiam,
    _compat,
    data,
    no_predictor,
    paper_optimizers,
    predictor,
    projector,
    resnet18,
)
from keras_simsiam.models.objectives import (
    negative_cosine_similarity,
    softmax_cross_entropy,
    z_std,
)
from keras_simsiam.models.pytorch import named_variables, to_keras

STEPS, BATCH = 5, 16


@pytest.fixture(scope="module")
def arrays(reference):
    return reference("training")


def small_simsiam(**kwargs):
    backbone = resnet18(width=8)
    return SimSiam(backbone, projector(64, 64), predictor(64, 16), **kwargs)


def tiny_simsiam(**kwargs):
    """Its weights are always the same."""
    keras.utils.set_random_seed(0)
    return SimSiam(tiny(), projector(8, 16, layers=2), predictor(16), **kwargs)


def load_initial(model, arrays):
    names = dict(named_variables(model))
    expected = {k.removeprefix("initial/") for k in arrays if k.startswith("initial/")}
    assert set(names) == {n for n in expected if not n.endswith("num_batches_tracked")}
    for name, variable in names.items():
        variable.assign(to_keras(arrays[f"initial/{name}"]))


def views(arrays, step):
    dtype = keras.backend.floatx()
    return tuple(tf.constant(arrays[f"views{i}"][step].astype(dtype)) for i in (1, 2))


# Rounding errors grow in each step, without the stop-gradient about tenfold: after five steps
# float32 convolutions of different libraries and processors give losses up to 1e-3 apart. In
# float64 the method itself can be held to the tolerance.
@pytest.fixture(
    scope="module",
    params=[(name, dtype) for name in ("stop", "nostop") for dtype in ("float64", "float32")],
    ids="-".join,
)
def trained(request, arrays):
    """What five steps log, with the trained model and the tolerances of losses and weights."""
    name, dtype = request.param
    keras.backend.set_floatx(dtype)
    keras.mixed_precision.set_global_policy(dtype)
    try:
        model = small_simsiam(stop_gradient=name == "stop")
        load_initial(model, arrays)
        model.compile(**paper_optimizers(BATCH, STEPS))
        logs = []
        for step in range(STEPS):
            model.reset_metrics()
            logs.append({k: float(v) for k, v in model.train_step(views(arrays, step)).items()})
    finally:
        keras.backend.set_floatx("float32")
        keras.mixed_precision.set_global_policy("float32")
    loose = dtype == "float32"
    weights = 3e-3 if loose else 1e-4 if name == "stop" else 1e-3
    return name, model, logs, 2e-3 if loose else 1e-4, weights


def test_five_training_steps_equal_pytorchs(trained, arrays):
    name, _, logs, tolerance, _ = trained
    losses = np.array([s["loss"] for s in logs])
    np.testing.assert_allclose(losses, arrays[f"{name}/loss"], atol=tolerance, rtol=0)
    np.testing.assert_allclose(losses[0], arrays[f"{name}/loss"][0], atol=1e-5, rtol=0)
    stds = np.array([s["z_std"] for s in logs]) / np.sqrt(64)
    np.testing.assert_allclose(stds, arrays[f"{name}/std"], atol=1e-4, rtol=0)
    rates = np.array([s["learning_rate"] for s in logs])
    np.testing.assert_allclose(rates, arrays[f"{name}/lr"], rtol=1e-5)


def test_weights_after_five_steps_equal_pytorchs(trained, arrays):
    name, model, _, _, tolerance = trained
    for torch_name, variable in named_variables(model):
        if not torch_name.endswith("running_var"):
            np.testing.assert_allclose(
                variable.numpy(),
                to_keras(arrays[f"{name}/final/{torch_name}"]),
                atol=tolerance,
                rtol=0,
                err_msg=torch_name,
            )


def test_running_variances_after_five_steps_equal_pytorchs(trained, arrays):
    name, model, _, _, _ = trained
    compared = 0
    for torch_name, variable in named_variables(model):
        if torch_name.endswith("running_var"):
            single = variable.dtype == tf.float32
            np.testing.assert_allclose(
                variable.numpy(),
                arrays[f"{name}/final/{torch_name}"],
                atol=1e-2 if single else 1e-5 if name == "stop" else 2e-3,
                rtol=5e-5,
                err_msg=torch_name,
            )
            compared += 1
    assert compared == 20 + 3 + 1


@pytest.mark.parametrize("name", ["stop", "nostop"])
def test_first_representations_and_gradients_equal_pytorchs(name, arrays):
    model = small_simsiam(stop_gradient=name == "stop")
    load_initial(model, arrays)
    x1, x2 = views(arrays, 0)
    with tf.GradientTape() as tape:
        h1, h2 = (model.backbone(x, training=True) for x in (x1, x2))
        z1, z2 = (model.projector(h, training=True) for h in (h1, h2))
        p1, p2 = (model.predictor(z, training=True) for z in (z1, z2))
        loss = 0.5 * (model.distance(p1, z2) + model.distance(p2, z1))
    for key, value in {"z1": z1, "z2": z2, "p1": p1, "p2": p2}.items():
        np.testing.assert_allclose(value, arrays[f"{name}/first/{key}"], atol=2e-4, rtol=0)
    named = {n: v for n, v in named_variables(model) if not n.split(".")[-1].startswith("running")}
    gradients = tape.gradient(loss, [_compat.tensorflow_variable(v) for v in named.values()])
    for torch_name, gradient in zip(named, gradients, strict=True):
        expected = to_keras(arrays[f"{name}/first/grad/{torch_name}"])
        distance = np.linalg.norm(gradient - expected) / np.linalg.norm(expected)
        assert distance < 1e-3, torch_name


def test_stop_gradient_lets_no_gradient_through_the_target():
    p, z = (tf.Variable(np.random.RandomState(i).randn(8, 4).astype("f")) for i in (0, 1))
    for stop, expected in ((True, False), (False, True)):
        model = tiny_simsiam(stop_gradient=stop)
        with tf.GradientTape() as tape:
            distance = model.distance(p, z)
        of_p, of_z = tape.gradient(distance, [p, z])
        assert of_p is not None
        assert (of_z is not None) == expected


def test_z_std_is_one_for_spread_vectors_and_zero_for_collapsed_ones():
    spread = np.random.RandomState(0).randn(4096, 256)
    assert float(z_std(tf.constant(spread))) == pytest.approx(1.0, abs=0.01)
    assert float(z_std(tf.ones([64, 256]))) == pytest.approx(0.0, abs=1e-6)


def test_half_precision_loss_is_computed_in_float32():
    p = tf.random.stateless_normal([64, 2048], [0, 0])
    exact = float(negative_cosine_similarity(p, p))
    assert exact == pytest.approx(-1.0, abs=1e-6)
    half = negative_cosine_similarity(tf.cast(p, tf.float16), tf.cast(p, tf.float16))
    assert half.dtype == tf.float32
    assert float(half) == pytest.approx(-1.0, abs=1e-6)


def test_saved_model_goes_on_as_the_one_in_memory(tmp_path, arrays):
    model = tiny_simsiam(stop_gradient=False)
    model.compile(**paper_optimizers(BATCH, STEPS))
    model.train_step(views(arrays, 0))
    model.save(tmp_path / "simsiam.keras")
    loaded = keras.models.load_model(tmp_path / "simsiam.keras")
    assert loaded.stop_gradient is False
    assert loaded.steps_done == 1
    for step in (1, 2):
        for m in (model, loaded):
            m.reset_metrics()
        expected, found = (m.train_step(views(arrays, step)) for m in (model, loaded))
        assert {k: float(v) for k, v in found.items()} == {k: float(v) for k, v in expected.items()}
    np.testing.assert_array_equal(loaded(views(arrays, 0)[0]), model(views(arrays, 0)[0]))


def test_device_augmentation_survives_saving(tmp_path):
    model = tiny_simsiam(augmentation=Augmentation(hue=0.2), image_size=32)
    model.compile("sgd")
    model.save(tmp_path / "simsiam.keras")
    loaded = keras.models.load_model(tmp_path / "simsiam.keras")
    assert loaded.augmentation == Augmentation(hue=0.2)
    assert loaded.image_size == 32


def test_any_keras_model_that_ends_in_a_vector_is_a_backbone():
    backbone = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()]
    )
    model = SimSiam(backbone, projector(784, 8), predictor(8))
    model.compile(keras.optimizers.Adam(1e-3))
    x = tf.random.stateless_uniform([4, 16, 16, 3], [0, 0])
    history = model.fit(tf.data.Dataset.from_tensors((x, x)).repeat(3), verbose=0)
    assert -1 <= history.history["loss"][0] <= 1
    assert model.predict(x, verbose=0).shape == (4, 784)


def test_backbone_without_a_vector_is_refused():
    backbone = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3)])
    with pytest.raises(ValueError, match=r"\(None, 14, 14, 4\)"):
        SimSiam(backbone)


def test_fit_learns_the_same_whether_views_are_made_on_the_host_or_on_the_device():
    images = np.random.RandomState(0).randint(0, 256, (64, 32, 32, 3), np.uint8)
    histories = {}
    for where in ("host", "device"):
        on_device = {"augmentation": Augmentation(), "image_size": 32}
        model = tiny_simsiam(**(on_device if where == "device" else {}))
        model.compile(**paper_optimizers(16, 4))
        pairs = data.views(images, Augmentation(), 16, seed=1, augment_on=where)
        log = model.fit(pairs, epochs=4, steps_per_epoch=1, verbose=0, shuffle=False)
        histories[where] = log.history["loss"]
    np.testing.assert_allclose(histories["host"], histories["device"], atol=1e-3)
    assert len(set(histories["host"])) == 4


def test_compiled_by_xla_a_step_gives_the_same_loss(arrays):
    losses = []
    for jit_compile in (False, True):
        model = tiny_simsiam()
        model.compile(**paper_optimizers(BATCH, STEPS), jit_compile=jit_compile)
        pairs = tf.data.Dataset.from_tensors(views(arrays, 0)).repeat(2)
        losses.append(model.fit(pairs, verbose=0, shuffle=False).history["loss"])
    np.testing.assert_allclose(*losses, atol=1e-5)


def test_evaluation_changes_no_weight_and_gives_loss_and_spread(arrays):
    model = tiny_simsiam()
    model.compile(**paper_optimizers(BATCH, STEPS))
    parts = (model.backbone, model.projector, model.predictor)
    weights = [w for part in parts for w in part.weights]
    before = [w.numpy() for w in weights]
    result = model.evaluate(
        tf.data.Dataset.from_tensors(views(arrays, 0)), verbose=0, return_dict=True
    )
    assert set(result) == {"loss", "z_std"}
    assert -1 <= result["loss"] <= 1
    for weight, old in zip(weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_view_size_is_learnt_from_the_first_batch_and_saved(tmp_path, arrays):
    model = tiny_simsiam()
    model.compile(**paper_optimizers(BATCH, STEPS))
    model.train_step(views(arrays, 0))
    assert model.image_size == 64
    model.save(tmp_path / "simsiam.keras")
    assert keras.models.load_model(tmp_path / "simsiam.keras").image_size == 64


def test_without_a_second_optimizer_one_trains_all_three_parts(arrays):
    model = tiny_simsiam()
    model.compile(keras.optimizers.SGD(0.1))
    first = [p.trainable_variables[0] for p in (model.backbone, model.projector, model.predictor)]
    before = [variable.numpy() for variable in first]
    model.train_step(views(arrays, 0))
    for variable, old in zip(first, before, strict=True):
        assert not np.array_equal(variable.numpy(), old)


def gradients_of(model, views_of_batch):
    """The gradient of each trainable variable's loss, None where there is none."""
    with tf.GradientTape() as tape:
        loss, _ = model.forward(views_of_batch, training=True)
    return tape.gradient(loss, model.trainable_variables)


def test_without_a_predictor_p_is_z(arrays):
    model = SimSiam(tiny(), projector(8, 16, layers=2), no_predictor(16))
    z = tf.random.stateless_normal([4, 16], [0, 0])
    np.testing.assert_array_equal(model.predictor(z), z)
    model.compile(**paper_optimizers(BATCH, STEPS))
    log = model.train_step(views(arrays, 0))
    assert -1 <= float(log["loss"]) <= 1


def test_a_fixed_predictor_stays_as_it_was_drawn_but_normalizes_its_batch(arrays):
    model = tiny_simsiam(train_predictor=False)
    model.compile(**paper_optimizers(BATCH, STEPS))
    before = [w.numpy() for w in model.predictor.weights]
    model.train_step(views(arrays, 0))
    moved = {
        _compat.path_of(w).split("/")[-1]
        for w, old in zip(model.predictor.weights, before, strict=True)
        if not np.array_equal(w.numpy(), old)
    }
    # Its BatchNorm goes on seeing batches; what an optimizer would train does not move.
    assert moved == {"moving_mean", "moving_variance"}


def test_the_symmetric_loss_is_the_mean_of_both_asymmetric_ones(arrays):
    x1, x2 = views(arrays, 0)
    losses = {}
    for symmetry, batch in (("symmetric", (x1, x2)), ("asymmetric", (x1, x2))):
        model = tiny_simsiam(symmetry=symmetry)
        losses[symmetry] = float(model.forward(batch, training=True)[0])
        losses["swapped"] = float(model.forward(batch[::-1], training=True)[0])
    assert losses["symmetric"] == pytest.approx(
        (losses["asymmetric"] + losses["swapped"]) / 2, abs=1e-6
    )


def test_the_asymmetric_loss_gives_no_gradient_through_the_other_view(arrays):
    model = tiny_simsiam(symmetry="asymmetric")
    x1, x2 = (tf.Variable(x) for x in views(arrays, 0))
    with tf.GradientTape() as tape:
        loss, _ = model.forward((x1, x2), training=True)
    of_x1, of_x2 = tape.gradient(loss, [x1, x2])
    assert float(tf.norm(of_x1)) > 0
    assert of_x2 is None


def test_two_pairs_are_the_mean_of_two_asymmetric_losses(arrays):
    first, second = views(arrays, 0), views(arrays, 1)
    found = []
    for symmetry, batches in (("two_pairs", [first + second]), ("asymmetric", [first, second])):
        model = tiny_simsiam(symmetry=symmetry)
        each = [gradients_of(model, batch) for batch in batches]
        found.append([sum(gradients) / len(batches) for gradients in zip(*each, strict=True)])
    for two_pairs, mean in zip(*found, strict=True):
        np.testing.assert_allclose(two_pairs, mean, atol=1e-4)


def test_cross_entropy_is_that_of_the_softmaxes():
    p, z = (np.random.RandomState(i).randn(8, 5) for i in (0, 1))
    softmax = [np.exp(v) / np.exp(v).sum(axis=1, keepdims=True) for v in (p, z)]
    expected = -(softmax[1] * np.log(softmax[0])).sum(axis=1).mean()
    assert float(softmax_cross_entropy(tf.constant(p), tf.constant(z))) == pytest.approx(expected)
    model = tiny_simsiam(similarity="cross_entropy")
    found = model.distance(tf.constant(p, tf.float32), tf.constant(z, tf.float32))
    assert float(found) == pytest.approx(expected, abs=1e-5)


def test_variants_survive_saving(tmp_path):
    variant = {"train_predictor": False, "similarity": "cross_entropy", "symmetry": "asymmetric"}
    model = tiny_simsiam(**variant)
    model.compile(**paper_optimizers(BATCH, STEPS))
    model.save(tmp_path / "simsiam.keras")
    loaded = keras.models.load_model(tmp_path / "simsiam.keras")
    assert {name: getattr(loaded, name) for name in variant} == variant


@pytest.mark.parametrize("name", ["similarity", "symmetry"])
def test_unknown_variants_are_named(name):
    with pytest.raises(InputError, match=f"{name} must be one of .*; got 'other'"):
        tiny_simsiam(**{name: "other"})
