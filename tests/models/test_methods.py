"""The methods that SimSiam is compared with, against PyTorch's losses, gradients and steps."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import backbones

import keras_simsiam as ks
from keras_simsiam import (
    InputError,
    Run,
    method_options,
    paper_optimizers,
    predictor,
    projector,
    resnet18,
)
from keras_simsiam.fields import choices
from keras_simsiam.model_settings import Model
from keras_simsiam.models.barlow_twins import barlow_twins_loss
from keras_simsiam.models.moco import info_nce
from keras_simsiam.models.objectives import negative_cosine_similarity
from keras_simsiam.models.pytorch import named_variables, to_keras
from keras_simsiam.models.simclr import nt_xent
from keras_simsiam.models.swav import cross_entropy, sinkhorn
from keras_simsiam.models.targets import ImageTargets
from keras_simsiam.models.vicreg import vicreg_loss

STEPS, BATCH = 5, 16


@pytest.fixture(scope="module")
def arrays(reference):
    return reference("methods")


@pytest.fixture(scope="module")
def training(reference):
    return reference("training")


def swapped_prediction(s1, s2):
    q1, q2 = (tf.stop_gradient(sinkhorn(s)) for s in (s1, s2))
    return (cross_entropy(q2, s1, 0.1) + cross_entropy(q1, s2, 0.1)) / 2


LOSSES = {
    "nt_xent": (lambda a: nt_xent(a[0], a[1], a[0], a[1], 0.1), ("z1", "z2")),
    "nt_xent_predicted": (lambda a: nt_xent(*a, 0.1), ("p1", "p2", "z1", "z2")),
    "swapped_prediction": (lambda a: swapped_prediction(*a), ("s1", "s2")),
    "barlow": (lambda a: barlow_twins_loss(*a), ("z1", "z2")),
    "vicreg": (lambda a: vicreg_loss(*a), ("z1", "z2")),
    "info_nce": (lambda a: a, ("p1",)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_their_gradients_equal_pytorchs(name, arrays):
    loss, names = LOSSES[name]
    if name == "info_nce":
        z2, queue = arrays["vectors/z2"], arrays["vectors/queue"]

        def loss(a):
            return info_nce(a[0], tf.constant(z2), tf.constant(queue), 0.2)

    inputs = [tf.constant(arrays[f"vectors/{n}"]) for n in names]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = loss(inputs)
    np.testing.assert_allclose(value, arrays[f"losses/{name}"], rtol=1e-9)
    for i, gradient in enumerate(tape.gradient(value, inputs)):
        expected = arrays[f"losses/{name}/grad{i}"]
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("loss", [barlow_twins_loss, vicreg_loss])
def test_few_images_have_the_same_loss_whether_or_not_their_number_is_static(loss, arrays):
    """Only if it is, covariances are computed from products between images."""
    z = [tf.constant(arrays[f"vectors/{name}"][:9]) for name in ("z1", "z2")]  # [9, 32]

    def with_gradients(*z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = loss(*z)
        return value, *tape.gradient(value, z)

    any_number = [tf.TensorSpec([None, 32], tf.float64)] * 2
    expected = tf.function(with_gradients, input_signature=any_number)(*z)
    for found, value in zip(with_gradients(*z), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [*LOSSES, "cosine"])
def test_losses_of_half_precision_are_computed_in_float32(name):
    loss, count = negative_cosine_similarity, 2
    if name != "cosine":
        loss, names = LOSSES[name]
        count = len(names)
    if name == "info_nce":
        queue = tf.math.l2_normalize(tf.random.stateless_normal([16, 8], (3, 4)), axis=1)
        loss, count = functools.partial(info_nce, queue=queue, temperature=0.2), 2
    half = [tf.cast(v, tf.bfloat16) for v in tf.random.stateless_normal([count, 6, 8], (1, 2))]
    takes_a_list = name not in ("cosine", "info_nce")
    found, exact = (
        loss(inputs) if takes_a_list else loss(*inputs)
        for inputs in (half, [tf.cast(v, tf.float32) for v in half])
    )
    assert found.dtype == tf.float32
    assert float(found) == float(exact)


def test_codes_equal_pytorchs(arrays):
    found = sinkhorn(tf.constant(arrays["vectors/s1"]))
    np.testing.assert_allclose(found, arrays["codes"], rtol=1e-9)
    np.testing.assert_allclose(tf.reduce_sum(found, axis=1), 1, rtol=1e-12)


def heads():
    return resnet18(width=8), projector(64, 64)


def with_prototypes(arrays):
    model = ks.SwAV(*heads(), prototypes=24)
    model.prototypes.set_weights([arrays["prototypes"].T])
    return model


def with_queue(arrays):
    model = ks.MoCo(*heads(), queue=80, target="momentum:0.9")
    model.keys.assign(arrays["queue"])
    return model


METHODS = {
    "simclr": lambda a: ks.SimCLR(*heads()),
    "simclr_predictor": lambda a: ks.SimCLR(*heads(), predictor(64, 16)),
    "simclr_predictor_stop": lambda a: ks.SimCLR(*heads(), predictor(64, 16), stop_gradient=True),
    "byol": lambda a: ks.BYOL(*heads(), predictor(64, 16), target="momentum:0.9"),
    "moco": with_queue,
    "swav": with_prototypes,
    "barlow": lambda a: ks.BarlowTwins(*heads()),
    "vicreg": lambda a: ks.VICReg(*heads()),
    "every2": lambda a: ks.SimSiam(*heads(), predictor(64, 16), target="every:2"),
}


def torch_names(model):
    """The model's weights by PyTorch's name."""
    names = dict(named_variables(model))
    if "prototypes" in model.parts:
        names["prototypes.weight"] = model.prototypes.trainable_variables[0]
    return names


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", METHODS)
def test_training_steps_equal_pytorchs(name, dtype, arrays, training):
    """In float32 only the first: a temperature multiplies rounding in every further step."""
    keras.backend.set_floatx(dtype)
    keras.mixed_precision.set_global_policy(dtype)
    try:
        model = METHODS[name](arrays)
        for torch_name, variable in named_variables(model):
            if f"initial/{torch_name}" in training:
                variable.assign(to_keras(training[f"initial/{torch_name}"]))
        if model.targets is not None:
            model.targets.backbone.set_weights(model.backbone.get_weights())
            model.targets.projector.set_weights(model.projector.get_weights())
        model.compile(**paper_optimizers(BATCH, STEPS))
        views = [
            tuple(tf.constant(training[f"views{i}"][step].astype(dtype)) for i in (1, 2))
            for step in range(STEPS)
        ]
        exact = dtype == "float64"
        check_first_gradients(model, views[0], name, arrays, 1e-6 if exact else 1e-3)
        losses = []
        for x1, x2 in views if exact else views[:1]:
            model.reset_metrics()
            losses.append(float(model.train_step((x1, x2))["loss"]))
        expected = arrays[f"{name}/loss"][: len(losses)]
        np.testing.assert_allclose(
            losses, expected, **({"rtol": 1e-7} if exact else {"atol": 1e-4})
        )
        if exact:
            check_final(model, name, arrays)
    finally:
        keras.backend.set_floatx("float32")
        keras.mixed_precision.set_global_policy("float32")


def check_first_gradients(model, views, name, arrays, tolerance):
    names = torch_names(model)
    kept = [k for k in arrays if k.startswith(f"{name}/first/grad/")]
    assert kept
    variables = [names[k.removeprefix(f"{name}/first/grad/")] for k in kept]
    before = [w.numpy() for w in model.weights]
    model.before_step()
    with tf.GradientTape() as tape:
        loss, _ = model.forward(views, training=True)
    values = [v.value if hasattr(v, "path") else v for v in variables]
    for k, gradient in zip(kept, tape.gradient(loss, values), strict=True):
        expected = to_keras(arrays[k])
        error = np.linalg.norm(gradient - expected) / np.linalg.norm(expected)
        assert error < tolerance, k
    for weight, value in zip(model.weights, before, strict=True):
        weight.assign(value)  # the queue, and BatchNorm's statistics


def check_final(model, name, arrays):
    names = torch_names(model)
    if model.targets is not None:
        following = ks.BarlowTwins(model.targets.backbone, model.targets.projector)
        names |= {f"target/{n}": variable for n, variable in named_variables(following)}
    for key in [k for k in arrays if k.startswith(f"{name}/final/")]:
        own = key.removeprefix(f"{name}/final/")
        if own.startswith("predictor.") and own not in names:
            continue  # which no step has changed
        if own == "place":
            assert int(model.place.numpy()) == arrays[key]
            continue
        found = model.keys.numpy() if own == "queue" else names[own].numpy()
        expected = arrays[key] if own == "queue" else to_keras(arrays[key])
        np.testing.assert_allclose(found, expected, atol=1e-6, rtol=1e-6, err_msg=key)


def tiny(method, **kwargs):
    """A method on a network of one convolution."""
    keras.utils.set_random_seed(0)
    model = method(backbones.tiny(), projector(8, 16, layers=2), **kwargs)
    model.compile(**paper_optimizers(8, 4, base_learning_rate=1.0))
    return model


TINY = {
    "images": lambda: tiny(ks.SimSiam, target="images:0.8", images=32),
    "simclr": lambda: tiny(ks.SimCLR, stop_gradient=True),
    "barlow_twins": lambda: tiny(ks.BarlowTwins),
    "vicreg": lambda: tiny(ks.VICReg),
    "byol": lambda: tiny(ks.BYOL, steps=4),
    "moco": lambda: tiny(ks.MoCo, queue=24, target="momentum:0.5"),
    "swav": lambda: tiny(ks.SwAV, prototypes=6, freeze_steps=1),
}


def state(model):
    """The weights of all networks, and the queue; not the averages of logs, as on Keras 2."""
    networks = [*model.parts.values(), model.targets]
    weights = [weight for network in networks if network is not None for weight in network.weights]
    queue = [getattr(model, name) for name in ("keys", "place") if hasattr(model, name)]
    return [*weights, *queue]


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_a_saved_method_goes_on_exactly(name, tmp_path):
    """Target network, averages of images, queue and prototypes are in the file."""

    def train(model, first, last):
        for step in range(first, last):
            views = tuple(tf.random.stateless_normal([2, 8, 16, 16, 3], [1, step]))
            examples = tf.range(8, dtype=tf.int64) + step % 2
            model.train_step({"views": views, "examples": examples})

    unbroken, broken = TINY[name](), TINY[name]()
    train(unbroken, 0, 4)
    train(broken, 0, 2)
    broken.save(tmp_path / "method.keras")
    again = keras.models.load_model(tmp_path / "method.keras")
    train(again, 2, 4)
    assert type(again) is type(unbroken)
    for weight, expected in zip(state(again), state(unbroken), strict=True):
        np.testing.assert_array_equal(weight.numpy(), expected.numpy())


def test_prototypes_stay_as_they_are_while_they_are_frozen():
    model = TINY["swav"]()
    views = tuple(tf.random.stateless_normal([2, 8, 16, 16, 3], [1, 2]))
    model.before_step()
    before = model.prototypes.get_weights()[0]
    model.train_step(views)
    model.before_step()
    np.testing.assert_allclose(model.prototypes.get_weights()[0], before, atol=1e-6)
    model.train_step(views)
    model.before_step()
    after = model.prototypes.get_weights()[0]
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_allclose(np.linalg.norm(after, axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("momentum:0.9", [0.9, 0.9, 0.9, 0.9, 0.9]),
        ("every:2", [1, 0, 1, 0, 1]),
        ("cosine:0.6", [0.6, 0.6586, 0.8, 0.9414, 1]),  # BYOL, Section 3.3
    ],
)
def test_a_target_keeps_the_share_of_its_weights_that_its_rule_says(rule, kept):
    model = tiny(ks.SimSiam, target=rule, steps=4)
    found = [float(model.targets.momentum(tf.constant(step, tf.int64))) for step in range(5)]
    np.testing.assert_allclose(found, kept, atol=1e-4)


def test_each_image_keeps_an_average_of_its_own():
    """Section 5.2; an image that is twice in a batch keeps what its later place gives."""
    targets = ImageTargets(4, 2, 0.75)
    z1, z2 = tf.constant([[4.0, 0], [0, 8], [8, 8]]), tf.constant([[0.0, 4], [0, 8], [0, 0]])
    t1, t2 = targets.of((), (z1, z2), True, tf.constant([3, 1, 3], tf.int64))
    np.testing.assert_allclose(t1, z1 / 4)
    np.testing.assert_allclose(t2, z2 / 4)
    np.testing.assert_allclose(targets.memory, [[0, 0], [0, 2], [0, 0], [1, 1]])
    for training in (False, True):
        (t1,) = targets.of((), (z1[:1],), training, tf.constant([1], tf.int64))
        np.testing.assert_allclose(t1, [[1, 1.5]])
    np.testing.assert_allclose(targets.memory, [[0, 0], [1, 1.5], [0, 0], [1, 1]])


def test_simclr_without_negatives_is_simsiam_and_the_other_view_alone_is_mocos_loss():
    z1, z2, p1, p2 = tf.unstack(tf.random.stateless_normal([4, 6, 5], (1, 2)))
    alike = negative_cosine_similarity(p1, z2) / 2 + negative_cosine_similarity(p2, z1) / 2
    np.testing.assert_allclose(nt_xent(p1, p2, z1, z2, 1.0, "none"), alike, rtol=1e-6)
    expected = 0
    for q, k in ((p1, z2), (p2, z1)):
        for i in range(6):
            negatives = tf.concat([k[:i], k[i + 1 :]], axis=0)
            unit = tf.math.l2_normalize(negatives, axis=1)
            expected += info_nce(q[i : i + 1], k[i : i + 1], unit, 0.2) / 12
    np.testing.assert_allclose(nt_xent(p1, p2, z1, z2, 0.2, "other_view"), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tiny(ks.MoCo, target="images:0.8"), "target must be a network of its own"),
        (lambda: tiny(ks.SimSiam, target="images:0.8"), "images, their number, is required"),
        (lambda: tiny(ks.SimSiam, target="images:1"), r"M in \[0, 1\).*got 'images:1'"),
        (
            lambda: tiny(ks.SimCLR, negatives="some"),
            "negatives must be one of both_views, other_view, none; got 'some'",
        ),
        (
            lambda: TINY["images"]().forward((tf.zeros([2, 16, 16, 3]),) * 2, training=True),
            "must have the numbers of its images",
        ),
        (
            lambda: Run().replace(model={"method": "moco", "queue": 511}),
            "queue must be at least 512, two keys for each image of a batch; got 511",
        ),
        (
            lambda: Run().replace(model={"method": "swav", "predictor": "fixed"}),
            "predictor must be one of mlp, none for swav; got 'fixed'",
        ),
        (
            lambda: Run().replace(model={"method": "byol", "stop_gradient": False}),
            "target must be self without stop_gradient, as others have no gradient; got 'cosine:",
        ),
        (
            lambda: tiny(ks.SimSiam, target="every:2", stop_gradient=False),
            "target must be self without stop_gradient",
        ),
        (lambda: Run().replace(model={"negatives": "none"}), "negatives is an option of simclr;"),
        (lambda: tiny(ks.MoCo, target="self"), "target must be a network of its own"),
        (lambda: tiny(ks.MoCo, queue=2), "queue must be at least 4; got 2"),
        (lambda: tiny(ks.SimCLR, temperature=0), "temperature must be above 0; got 0"),
        (lambda: tiny(ks.SwAV, prototypes=1), "prototypes must be at least 2; got 1"),
        (lambda: tiny(ks.BYOL), "steps is required"),
        (lambda: tiny(ks.SimSiam, target="momentum:1"), r"M in \[0, 1\).*got 'momentum:1'"),
        (lambda: tiny(ks.SimSiam, target="every:0"), "got 'every:0'"),
        (lambda: tiny(ks.VICReg, variance=float("nan")), "variance must be a finite number"),
        (
            lambda: Run().replace(model={"method": "vicreg", "temperature": 0.1}),
            "temperature is an option of simclr, moco, swav; vicreg does not have it; got 0.1",
        ),
        (lambda: Run().replace(model={"method": "moco", "target": "self"}), "for moco"),
        (lambda: Model(views=4), "option of the symmetry fastsiam; got 4 .* symmetry symmetric"),
        (lambda: Model(symmetry="fastsiam", views=1), "views must be at least 2; got 1"),
        (lambda: Model(symmetry="fastsiam", small_views=2), "small_views .*; got 2 .* fastsiam"),
        (lambda: Model(small_size=16), "small_size needs small_views of at least 1; got 0"),
        (lambda: Model(method="moco", small_views=2), "option of simsiam, byol, swav; moco"),
        (
            lambda: Model(small_views=2, small_size=32).small_views_of(32),
            "smaller than the large ones, which have 32 pixels a side; got 32",
        ),
    ],
)
def test_an_option_that_does_not_fit_is_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_batch_of_more_keys_than_the_queue_has_is_refused():
    model = tiny(ks.MoCo, queue=8)
    views = tuple(tf.zeros([2, 8, 16, 16, 3]))
    with pytest.raises(InputError, match="queue must hold the 16 keys of a batch"):
        model.train_step(views)


def test_another_method_gets_defaults_of_its_own():
    run = Run().replace(model={"method": "simclr", "temperature": 0.5})
    assert (run.model.predictor, run.model.temperature, run.model.queue) == ("none", 0.5, None)
    assert Run().replace(model={"method": "moco"}).model.temperature == 0.2
    assert run.replace(model={"method": "moco"}).model.temperature == 0.5
    assert Run().replace(model={"method": "swav"}).replace(model={"method": "simsiam"}) == Run()


def test_every_option_of_a_method_is_a_setting_and_the_other_way_round():
    by_method = {f.name for f in dataclasses.fields(Model) if f.metadata.get("by_method")}
    assert by_method == set(method_options.names())
    assert tuple(method_options.METHOD_OPTIONS) == choices(Model, "method")
