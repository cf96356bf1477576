"""The methods that SimSiam is compared with, against PyTorch's losses, gradients and steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_simsiam as ks
from keras_simsiam import paper_optimizers, predictor, projector, resnet18
from keras_simsiam.models.barlow_twins import barlow_twins_loss
from keras_simsiam.models.moco import info_nce
from keras_simsiam.models.pytorch import named_variables, to_keras
from keras_simsiam.models.simclr import nt_xent
from keras_simsiam.models.swav import cross_entropy, sinkhorn
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
    model.queue.assign(arrays["queue"])
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
        if getattr(model, "target", None) is not None:
            model.target.backbone.set_weights(model.backbone.get_weights())
            model.target.projector.set_weights(model.projector.get_weights())
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
    if getattr(model, "target", None) is not None:
        following = ks.BarlowTwins(model.target.backbone, model.target.projector)
        names |= {f"target/{n}": variable for n, variable in named_variables(following)}
    for key in [k for k in arrays if k.startswith(f"{name}/final/")]:
        own = key.removeprefix(f"{name}/final/")
        if own.startswith("predictor.") and "predictor" not in model.parts:
            continue  # which no step has changed
        if own == "place":
            assert int(model.place.numpy()) == arrays[key]
            continue
        found = model.queue.numpy() if own == "queue" else names[own].numpy()
        expected = arrays[key] if own == "queue" else to_keras(arrays[key])
        np.testing.assert_allclose(found, expected, atol=1e-6, rtol=1e-6, err_msg=key)
