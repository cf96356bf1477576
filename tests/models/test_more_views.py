"""More than two views, FastSiam's and multi-crop, against NumPy by the papers' formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_simsiam as ks
from keras_simsiam import InputError
from keras_simsiam.models.resnet import batch_norm

SMALL = ks.SmallViews(count=2, size=8)


def tiny(method=ks.SimSiam, input_shape=(None, None, 3), kernel=3, **kwargs):
    """A method on a network of one convolution, with the same weights each time."""
    keras.utils.set_random_seed(0)
    images = keras.Input(input_shape)
    x = keras.layers.Conv2D(8, kernel, 2, name="conv")(images)
    x = keras.layers.ReLU()(batch_norm("bn")(x))
    backbone = keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))
    return method(backbone, ks.projector(8, 16, layers=2), ks.predictor(16), **kwargs)


def random_views(large, small=0):
    sizes = [16] * large + [SMALL.size] * small
    return tuple(tf.random.stateless_normal([8, s, s, 3], [i, 0]) for i, s in enumerate(sizes))


def loss_and_gradients(model, views):
    """The loss, and its gradients by the views and by the trained weights."""
    weights = [w for part in model.parts.values() for w in part.trainable_weights]
    values = [w.value if hasattr(w, "path") else w for w in weights]
    with tf.GradientTape() as tape:
        tape.watch(views)
        loss, _ = model.forward(views, training=True)
    gradients = tape.gradient(loss, [*views, *values])
    return float(loss), [np.zeros(1) if g is None else g.numpy() for g in gradients]


def expected_gradients(model, views, predictions, of_predictions):
    """What backpropagation makes of the gradients by the predictions."""
    weights = [w for part in model.parts.values() for w in part.trainable_weights]
    values = [w.value if hasattr(w, "path") else w for w in weights]
    with tf.GradientTape() as tape:
        tape.watch(views)
        found = predictions(model, views)
    constants = [tf.constant(g, tf.float32) for g in of_predictions]
    gradients = tape.gradient(found, [*views, *values], output_gradients=constants)
    return [np.zeros(1) if g is None else g.numpy() for g in gradients]


def distance(p, z):
    """D(p, z) of SimSiam's equation 1, and its gradient by p."""
    length = np.linalg.norm(p, axis=1, keepdims=True)
    p, z = p / length, z / np.linalg.norm(z, axis=1, keepdims=True)
    cosine = (p * z).sum(axis=1, keepdims=True)
    return -cosine.mean(), (cosine * p - z) / length / len(p)


def predicted(model, views):
    return [model.predictor(model.encode(x, True), training=True) for x in views]


def targets_of(symmetry, z, i):
    """The targets of p_i: FastSiam's one, or with multi-crop the z of each other large view."""
    if symmetry == "fastsiam":
        return [np.mean([z[j] for j in range(len(z)) if j != i], axis=0)]
    return [z[j] for j in range(2) if j != i]


@pytest.mark.parametrize(
    ("options", "views"),
    [
        ({"symmetry": "fastsiam", "views": 3}, random_views(3)),
        ({"symmetry": "fastsiam", "views": 3, "target": "momentum:0.5"}, random_views(3)),
        ({"small_views": SMALL}, random_views(2, 2)),
    ],
    ids=["fastsiam", "fastsiam with a momentum encoder", "multi-crop"],
)
def test_loss_and_first_gradients_of_simsiam_equal_numpys(options, views):
    """FastSiam's mean targets; SwAV's Section 3.2 with SimSiam's loss."""
    model = tiny(**options)
    if model.targets is not None:
        target = model.targets.projector
        target.set_weights([-w for w in target.get_weights()])
    encode = model.targets or model.encode
    z = [np.float64(encode(x, training=True)) for x in views]
    p = [np.float64(v) for v in predicted(model, views)]
    terms = [
        (i, *distance(p[i], target))
        for i in range(len(views))
        for target in targets_of(options.get("symmetry"), z, i)
    ]
    of_p = [sum(g for j, _, g in terms if j == i) / len(terms) for i in range(len(views))]
    loss, gradients = loss_and_gradients(model, views)
    assert loss == pytest.approx(np.mean([d for _, d, _ in terms]), abs=1e-6)
    for found, expected in zip(
        gradients, expected_gradients(model, views, predicted, of_p), strict=True
    ):
        assert np.linalg.norm(found - expected) <= 1e-4 * np.linalg.norm(expected) + 1e-6
    assert all(np.abs(g).max() > 0 for g in gradients[: len(views)])  # by the views


def sinkhorn(scores, epsilon=0.05, iterations=3):
    """Codes of SwAV's equation 3."""
    q = np.exp(scores / epsilon)
    for _ in range(iterations):
        q = q / q.sum(axis=0) / q.shape[1]
        q = q / q.sum(axis=1, keepdims=True) / len(q)
    return q * len(q)


def test_loss_and_first_gradients_of_swav_with_small_views_equal_numpys():
    """Its Section 3.2: codes of the large views, which all other views predict."""
    views = random_views(2, 2)
    model = tiny(ks.SwAV, prototypes=6, small_views=SMALL)

    def scores(model, views, trained=True):
        z = [model.encode(x, True) for x in views]
        scored = [model.predictor(v, training=True) for v in z] if trained else z
        (kernel,) = model.prototypes.weights
        return [tf.math.l2_normalize(v, axis=1) @ tf.convert_to_tensor(kernel) for v in scored]

    model.before_step()
    codes = [sinkhorn(np.float64(s)) for s in scores(model, views[:2], trained=False)]
    losses, of_scores = [], []
    for i, s in enumerate(scores(model, views)):
        s = np.float64(s) / model.temperature
        log_p = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
        others = [q for j, q in enumerate(codes) if j != i]
        losses += [-(q * log_p).sum(axis=1).mean() for q in others]
        of_scores.append(sum(np.exp(log_p) - q for q in others) / model.temperature / len(s))
    of_scores = [g / len(losses) for g in of_scores]
    loss, gradients = loss_and_gradients(model, views)
    assert loss == pytest.approx(np.mean(losses), rel=1e-5)
    for found, expected in zip(
        gradients, expected_gradients(model, views, scores, of_scores), strict=True
    ):
        assert np.linalg.norm(found - expected) <= 1e-4 * np.linalg.norm(expected) + 1e-6
    assert all(np.abs(g).max() > 0 for g in gradients[:4])  # by the views


def test_fastsiam_of_two_views_is_simsiam():
    views = random_views(2)
    loss, gradients = loss_and_gradients(tiny(), views)
    same_loss, same_gradients = loss_and_gradients(tiny(symmetry="fastsiam", views=2), views)
    assert same_loss == loss
    for found, expected in zip(same_gradients, gradients, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "made"),
    [
        ({"symmetry": "fastsiam", "views": 3}, {"count": 3}),
        ({"small_views": SMALL}, {"small_views": SMALL}),
    ],
    ids=["fastsiam", "multi-crop"],
)
def test_a_saved_model_of_more_views_gives_the_same_loss_on_host_and_device(
    options, made, tmp_path
):
    images = np.random.RandomState(0).randint(0, 256, (16, 16, 16, 3), np.uint8)
    crop = ks.Augmentation.preset("none").replace(crop_area=(0.2, 1.0))
    losses = []
    for where, more in (("host", {}), ("device", {"augmentation": crop, "image_size": 16})):
        model = tiny(**options, **more)
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        views, _ = again._views(next(iter(ks.views(images, crop, 8, augment_on=where, **made))))
        losses += [float(m.forward(views, training=True)[0]) for m in (model, again)]
    np.testing.assert_allclose(losses, losses[0], atol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tiny(views=4), "views is an option of the symmetry fastsiam; got 4 .*symmetric"),
        (lambda: tiny(symmetry="fastsiam", views=1), "views must be at least 2; got 1"),
        (
            lambda: tiny(symmetry="two_pairs", small_views=SMALL),
            "small_views is an option of the symmetry symmetric; got 2 .*two_pairs",
        ),
        (
            lambda: tiny(small_views=SMALL, input_shape=(16, 16, 3)),
            r"take small views of 8×8 pixels, too; got .*shape \(None, 16, 16, 3\)",
        ),
        (lambda: tiny(small_views=SMALL, kernel=11), "take small views of 8×8 pixels, too; got "),
        (lambda: tiny(small_views=SMALL, image_size=8), "must be smaller .* 8 pixels a side; got"),
        (
            lambda: ks.SimCLR(tiny().backbone, small_views=SMALL),
            r"small_views must be None for SimCLR, .*; got SmallViews\(count=2",
        ),
    ],
)
def test_views_that_do_not_fit_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("options", "views", "message"),
    [
        ({"symmetry": "fastsiam", "views": 3}, random_views(2), "must have 3 views; got 2"),
        ({"small_views": SMALL}, random_views(2), "must have 2 views and 2 small ones; got 2"),
        (
            {"small_views": SMALL},
            random_views(4),
            "view x3 must be small, 8×8 pixels; got float32",
        ),
    ],
)
def test_a_batch_of_other_views_is_named(options, views, message):
    model = tiny(**options)
    model.compile("sgd")
    with pytest.raises(InputError, match=message):
        model.train_step(views)
