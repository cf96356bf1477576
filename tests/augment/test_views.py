"""The list of operations: what its random numbers and its views depend on."""

import dataclasses
import importlib
import math
import pkgutil
import typing

import numpy as np
import pytest
import tensorflow as tf
from helpers.views import N, numbers

from keras_simsiam import Augmentation, InputError, augment, views
from keras_simsiam.augment import views as module

FULL = Augmentation()


class Fade(augment.Operation):
    """Multiplies the pixels by a random number: a new operation."""

    name = "fade"
    numbers: typing.ClassVar = {"how_much": 1, "unused": 2}

    def occurs(self, augmentation):
        return augmentation.hue > 0.2

    def draw(self, augmentation, numbers, height, width):
        return {"factor": numbers["how_much"][:, 0]}

    def apply(self, augmentation, planes, parameters, size):
        return planes * parameters["factor"][:, None, None, None]


@pytest.fixture
def images():
    return np.random.RandomState(0).randint(0, 256, (40, 16, 16, 3), np.uint8)


def uniforms(examples=(3,), epochs=(0,), seed=5, count=2):
    examples, epochs = np.broadcast_arrays(examples, epochs)
    examples, epochs = (tf.constant(v, tf.int64) for v in (examples, epochs))
    return augment.uniforms(seed, epochs, examples, count)


def make(augmentation, images):
    """The numbers and both views of some images."""
    drawn = uniforms(range(len(images)))
    parameters = tuple(augment.draw(augmentation, n, *images.shape[1:3]) for n in drawn)
    batch = {"images": tf.constant(images), "parameters": parameters}
    return drawn.numpy(), np.stack(augment.make_views(augmentation, batch, 8))


def test_each_operation_of_the_package_is_in_the_list_once():
    modules = [
        importlib.import_module(f"keras_simsiam.augment.{m.name}")
        for m in pkgutil.iter_modules(augment.__path__)
    ]
    there = {
        c
        for m in modules
        for c in vars(m).values()
        if isinstance(c, type) and issubclass(c, augment.Operation) and c is not augment.Operation
    }
    assert {type(operation) for operation in augment.OPERATIONS} == there
    names = [operation.name for operation in augment.OPERATIONS]
    assert len(set(names)) == len(names) == len(there)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crop_area", (0.1, 0.2)),
        ("crop_ratio", (0.9, 1.0)),
        ("flip_probability", 0.0),
        ("jitter_probability", 0.1),
        ("brightness", 0.1),
        ("contrast", 0.1),
        ("saturation", 0.1),
        ("hue", 0.2),
        ("grayscale_probability", 0.9),
        ("blur_probability", 0.1),
        ("blur_sigma", (1.0, 2.0)),
        ("mean", (0.0, 0.0, 0.0)),
        ("std", (1.0, 1.0, 1.0)),
    ],
)
def test_every_setting_changes_the_views(name, value, images):
    changed = dataclasses.replace(FULL, **{name: value})
    (_, expected), (_, found) = (make(a, images) for a in (FULL, changed))
    assert np.abs(expected - found).mean() > 1e-3


def test_every_setting_is_tested():
    tested = test_every_setting_changes_the_views.pytestmark[0].args[1]
    assert {name for name, _ in tested} == {f.name for f in dataclasses.fields(Augmentation)}


def test_the_numbers_of_a_seed_never_change():
    """Recorded when there were four operations; other numbers are other views for every seed."""
    found = uniforms(examples=(7, 2**33), epochs=(1, 2))
    assert found.shape == (2, 2, 35)
    recorded = [
        [[0.4615606, 0.40132892, 0.08112633], [0.64874053, 0.29515862, 0.264382]],
        [[0.41894817, 0.8180233, 0.043508172], [0.7285259, 0.23278105, 0.90530014]],
    ]
    np.testing.assert_array_equal(found[:, :, ::17], np.float32(recorded))


@pytest.mark.parametrize("place", range(5))
def test_a_new_operation_leaves_the_draws_of_the_others(place, images, monkeypatch):
    """Wherever it is in the list, x1 and x2 are the same, bit for bit, unless it occurs."""
    numbers, expected = make(FULL, images)
    assert numbers.shape == (2, 40, 35)
    operations = [*augment.OPERATIONS]
    operations.insert(place, Fade())
    monkeypatch.setattr(module, "OPERATIONS", tuple(operations))
    more_numbers, found = make(FULL, images)
    assert more_numbers.shape == (2, 40, 38)
    np.testing.assert_array_equal(numbers, more_numbers[:, :, :35])
    np.testing.assert_array_equal(expected, found)


def test_batches_of_views_are_the_same_with_a_new_operation(images, monkeypatch):
    expected = next(iter(views(images, FULL, 16, seed=5, image_size=8)))
    monkeypatch.setattr(module, "OPERATIONS", (*augment.OPERATIONS, Fade()))
    np.testing.assert_array_equal(
        expected, next(iter(views(images, FULL, 16, seed=5, image_size=8)))
    )


def test_a_new_operation_does_to_each_view_what_was_drawn_for_it(images, monkeypatch):
    augmentation = Augmentation(hue=0.3, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    _, expected = make(augmentation, images)
    monkeypatch.setattr(module, "OPERATIONS", (*augment.OPERATIONS, Fade()))
    numbers, found = make(augmentation, images)
    factors = numbers[:, :, 35]
    assert np.ptp(factors) > 0.9
    np.testing.assert_allclose(found, factors[..., None, None, None] * expected, atol=1e-6)


def test_numbers_of_a_new_operation_differ_by_view_example_epoch_and_seed(monkeypatch):
    monkeypatch.setattr(module, "OPERATIONS", (*augment.OPERATIONS, Fade()))

    def own(**changes):
        return [n for u in uniforms(**changes).numpy().reshape(-1, 38) for n in u[35:]]

    found = own() + own(examples=(4,)) + own(epochs=(1,)) + own(seed=6)
    others = uniforms().numpy()[..., :35].ravel()
    assert len({*found, *others}) == 4 * 2 * 3 + 2 * 35


def test_two_new_operations_have_different_numbers(monkeypatch):
    class Other(Fade):
        name = "other"

    monkeypatch.setattr(module, "OPERATIONS", (*augment.OPERATIONS, Fade(), Other()))
    fade, other = np.split(uniforms().numpy()[..., 35:], 2, axis=-1)
    assert not np.isclose(fade, other).any()


def test_numbers_of_a_new_operation_are_uniform_and_independent_of_the_others(monkeypatch):
    monkeypatch.setattr(module, "OPERATIONS", (*augment.OPERATIONS, Fade()))
    examples = tf.range(4000, dtype=tf.int64)
    both = tf.function(augment.uniforms)(0, tf.zeros_like(examples), examples).numpy()
    flat = np.concatenate([both[0], both[1]], axis=1)
    assert np.abs(np.corrcoef(flat.T) - np.eye(76)).max() < 5 / math.sqrt(4000)
    np.testing.assert_allclose(flat.mean(axis=0), 0.5, atol=5 / math.sqrt(12 * 4000))
    np.testing.assert_allclose(flat.var(axis=0), 1 / 12, atol=0.01)


def test_numbers_of_both_views_are_independent():
    both = numbers().numpy()
    flat = np.concatenate([both[0], both[1]], axis=1)
    correlation = np.corrcoef(flat.T) - np.eye(flat.shape[1])
    assert np.abs(correlation).max() < 5 / math.sqrt(N)


def test_numbers_depend_on_seed_epoch_and_example_alone():
    examples, epochs = (7, 3, 9), (1, 1, 2)
    batch = uniforms(examples, epochs).numpy()
    for i in range(3):
        alone = uniforms(examples[i : i + 1], epochs[i : i + 1]).numpy()
        np.testing.assert_array_equal(alone[:, 0], batch[:, i])
    np.testing.assert_array_equal(uniforms(examples, epochs, count=4)[:2], batch)
    for changed in (
        uniforms(examples, epochs, seed=6),
        uniforms(examples, np.add(epochs, 1)),
        uniforms(np.add(examples, 1), epochs),
    ):
        assert not np.isclose(changed.numpy(), batch).any(axis=2).all()
    assert not np.isclose(batch[0], batch[1]).any()


def test_operations_that_cannot_occur_are_not_drawn():
    drawn = augment.draw(Augmentation.preset("none"), uniforms()[0], 16, 16)
    assert list(drawn) == ["crop"]
    assert set(augment.draw(FULL, uniforms()[0], 16, 16)) == {o.name for o in augment.OPERATIONS}


def test_each_view_can_have_an_augmentation_of_its_own(images):
    """x1 and x2 are those of each augmentation alone, on the host and on the device."""
    strong, weak = FULL, Augmentation(crop_area=(0.5, 1.0), blur_probability=0.0, hue=0.3)
    (x1, _), (_, x2) = (next(iter(views(images, a, 16, image_size=8))) for a in (strong, weak))
    found = next(iter(views(images, (strong, weak), 16, image_size=8)))
    batch = next(iter(views(images, (strong, weak), 16, image_size=8, augment_on="device")))
    on_device = augment.make_views((strong, weak), batch, 8)
    for expected, host, device in zip((x1, x2), found, on_device, strict=True):
        np.testing.assert_array_equal(expected, host)
        np.testing.assert_allclose(expected, device, atol=2e-4)
    assert [set(p) for p in batch["parameters"]] == [
        {"crop", "color_jitter", "grayscale", "blur"},
        {"crop", "color_jitter", "grayscale"},
    ]


def test_as_many_augmentations_as_views_are_needed(images):
    message = "one Augmentation, or one for each of 4 views; got 2"
    with pytest.raises(InputError, match=message):
        views(images, (FULL, FULL), 16, pairs=2)


def test_apply_is_the_same_compiled_and_not():
    images = np.random.RandomState(0).randint(0, 256, (6, 48, 40, 3), np.uint8)
    augmentation = Augmentation(blur_probability=0.8)
    parameters = augment.draw(augmentation, uniforms(range(6))[0], 48, 40)
    plain = augment.apply(augmentation, images, parameters, 32)
    compiled = tf.function(augment.apply, jit_compile=True)(
        augmentation, tf.constant(images), parameters, 32
    )
    assert plain.shape == (6, 32, 32, 3)
    np.testing.assert_allclose(plain, compiled, atol=2e-4)


def test_preset_none_only_normalizes():
    images = np.random.RandomState(0).randint(0, 256, (4, 32, 32, 3), np.uint8)
    augmentation = Augmentation.preset("none")
    drawn = augment.draw(augmentation, uniforms(range(4))[0], 32, 32)
    expected = (images / 255.0 - augmentation.mean) / augmentation.std
    np.testing.assert_allclose(augment.apply(augmentation, images, drawn, 32), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hue": 0.6}, "hue must be at most 0.5; got 0.6"),
        ({"flip_probability": 1.5}, "flip_probability must be at most 1; got 1.5"),
        ({"crop_area": (0.5, 0.2)}, "crop_area must be .*smaller first.* got 0.5 0.2"),
        ({"crop_area": (0.2, 1.2)}, "crop_area must be at most 1; got 0.2 1.2"),
        ({"crop_ratio": (0.0, 1.0)}, "crop_ratio must be above 0; got 0 1"),
        ({"brightness": -1.0}, "brightness must be at least 0; got -1"),
    ],
)
def test_settings_out_of_range_are_named(values, message):
    with pytest.raises(InputError, match=message):
        Augmentation(**values)
