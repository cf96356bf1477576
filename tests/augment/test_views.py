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
from keras_simsiam.augmentation import each_view

FULL = Augmentation()
FADED = Augmentation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Fade(augment.Operation):
    """Multiplies the pixels by a random number: a new operation."""

    name = "fade"
    numbers: typing.ClassVar = {"how_much": 1, "unused": 2}

    def occurs(self, augmentation):
        return augmentation == FADED

    def draw(self, augmentation, numbers, height, width):
        return {"factor": numbers["how_much"][:, 0]}

    def apply(self, augmentation, planes, parameters, size):
        return planes * parameters["factor"][:, None, None, None]


@pytest.fixture(scope="module")
def images():
    return np.random.RandomState(0).randint(0, 256, (40, 16, 16, 3), np.uint8)


@pytest.fixture
def fade(monkeypatch):
    """The list with the new operation at its end."""
    monkeypatch.setattr(module, "OPERATIONS", (*augment.OPERATIONS, Fade()))


def uniforms(examples=(3,), epochs=(0,), seed=5, augmentations=(FULL, FULL)):
    examples, epochs = np.broadcast_arrays(examples, epochs)
    examples, epochs = (tf.constant(v, tf.int64) for v in (examples, epochs))
    return augment.uniforms(seed, epochs, examples, augmentations).numpy()


def make(augmentation, images):
    """The numbers and both views of some images."""
    both, _ = each_view(augmentation, 2, 8)
    numbers = uniforms(range(len(images)), augmentations=both)
    parameters = augment.draw(both, tf.constant(numbers), *images.shape[1:3])
    batch = {"images": tf.constant(images), "parameters": parameters}
    return numbers, np.stack(augment.make_views(augmentation, batch, 8))


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


SETTINGS = [f.name for f in dataclasses.fields(Augmentation)]
EVERY = FULL.replace(**{n: 0.5 for n in SETTINGS if n.endswith("_probability")})
"""With the operations that are off by default."""


@pytest.fixture(scope="module")
def views_of_every(images):
    return make(EVERY, images)[1]


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_changes_the_views(name, images, views_of_every):
    value = getattr(EVERY, name)
    halved = tuple(v / 2 for v in value) if isinstance(value, tuple) else value / 2
    _, found = make(EVERY.replace(**{name: halved}), images)
    assert np.abs(views_of_every - found).mean() > 1e-3


def test_the_numbers_of_a_seed_never_change():
    """Recorded when there were four operations; other numbers are other views for every seed."""
    found = uniforms(examples=(7, 2**33), epochs=(1, 2))
    recorded = [
        [[0.4615606, 0.40132892, 0.08112633], [0.64874053, 0.29515862, 0.264382]],
        [[0.41894817, 0.8180233, 0.043508172], [0.7285259, 0.23278105, 0.90530014]],
    ]
    np.testing.assert_array_equal(found[:, :, :35:17], np.float32(recorded))


def test_what_a_seed_draws_never_changes():
    """Recorded when there were four operations: the second view of two examples."""
    often = FULL.replace(grayscale_probability=0.5, jitter_probability=1.0, blur_probability=1.0)
    numbers = uniforms((7, 2**33), (1, 2), augmentations=(often, often))
    found = augment.draw((often, often), tf.constant(numbers), 64, 48)[1]
    factors = [
        [1.1794617, 0.8626758, 0.7923666, -0.0993313],
        [1.0568664, 1.0571995, 1.2741094, 0.0272351],
    ]
    recorded = {
        "crop": {"box": [[18, 0, 40, 41], [8, 4, 55, 43]], "flip": [True, True]},
        "color_jitter": {"factors": factors, "order": [[3, 1, 0, 2], [2, 1, 0, 3]]},
        "grayscale": {"where": [True, False]},
        "blur": {"sigma": [0.1826655, 1.8200703]},
    }
    for operation, parameters in recorded.items():
        for name, expected in parameters.items():
            np.testing.assert_allclose(found[operation][name], expected, rtol=1e-5)


def test_every_second_view_can_be_blurred_and_solarized_with_its_own_probability(images):
    """BYOL's views (Table 6), on the host as on the device."""
    byol = FULL.replace(
        blur_probability=1.0,
        second_blur_probability=0.0,
        second_solarize_probability=1.0,
    )
    x1, x2 = next(iter(views(images, byol, 16, image_size=8)))
    first = FULL.replace(blur_probability=1.0)
    second = FULL.replace(blur_probability=0.0, solarize_probability=1.0)
    expected = next(iter(views(images, (first, second), 16, image_size=8)))
    np.testing.assert_array_equal(x1, expected[0])
    np.testing.assert_array_equal(x2, expected[1])
    batch = next(iter(views(images, byol, 16, image_size=8, augment_on="device")))
    for host, device in zip((x1, x2), augment.make_views(byol, batch, 8), strict=True):
        np.testing.assert_allclose(host, device, atol=2e-4)


@pytest.mark.parametrize("place", range(len(augment.OPERATIONS) + 1))
def test_a_new_operation_leaves_the_draws_of_the_others(place, images, monkeypatch):
    """Wherever it is in the list, x1 and x2 are the same, bit for bit, unless it occurs."""
    numbers, expected = make(FULL, images)
    faded_numbers, faded = make(FADED, images)
    operations = [*augment.OPERATIONS]
    operations.insert(place, Fade())
    monkeypatch.setattr(module, "OPERATIONS", tuple(operations))
    same_numbers, same = make(FULL, images)
    np.testing.assert_array_equal(numbers, same_numbers)
    np.testing.assert_array_equal(expected, same)
    more_numbers, found = make(FADED, images)
    assert more_numbers.shape[2] == numbers.shape[2] + 3
    np.testing.assert_array_equal(faded_numbers, more_numbers[:, :, : numbers.shape[2]])
    assert (faded != found).any(axis=(2, 3, 4)).all()


def test_batches_are_the_same_with_a_new_operation_that_does_not_occur(images, monkeypatch):
    expected = next(iter(views(images, FULL, 16, seed=5, image_size=8)))
    monkeypatch.setattr(module, "OPERATIONS", (*augment.OPERATIONS, Fade()))
    found = next(iter(views(images, FULL, 16, seed=5, image_size=8)))
    np.testing.assert_array_equal(expected, found)


def test_a_new_operation_does_to_each_view_what_was_drawn_for_it(images, monkeypatch):
    _, expected = make(FADED, images)
    monkeypatch.setattr(module, "OPERATIONS", (*augment.OPERATIONS, Fade()))
    numbers, found = make(FADED, images)
    factors = numbers[:, :, -3]
    assert np.ptp(factors) > 0.9
    np.testing.assert_allclose(found, factors[..., None, None, None] * expected, atol=1e-6)


def test_numbers_of_a_new_operation_differ_by_view_example_epoch_and_seed(fade):
    def numbers(**changes):
        return uniforms(**changes, augmentations=(FADED, FADED))

    drawn = [numbers(), numbers(examples=(4,)), numbers(epochs=(1,)), numbers(seed=6)]
    own = np.concatenate([n[..., -3:].ravel() for n in drawn])
    others = numbers()[..., :-3].ravel()
    assert len({*own, *others}) == 4 * 2 * 3 + len(others)


def test_numbers_of_a_new_operation_are_uniform_and_independent_of_the_others(fade):
    examples = tf.range(4000, dtype=tf.int64)
    draw = tf.function(lambda: augment.uniforms(0, examples * 0, examples, (FADED, FADED)))
    both = draw().numpy()
    flat = np.concatenate([both[0], both[1]], axis=1)
    correlation = np.corrcoef(flat.T) - np.eye(flat.shape[1])
    assert np.abs(correlation).max() < 5 / math.sqrt(4000)
    np.testing.assert_allclose(flat.mean(axis=0), 0.5, atol=5 / math.sqrt(12 * 4000))
    np.testing.assert_allclose(flat.var(axis=0), 1 / 12, atol=0.01)


def test_two_new_operations_have_different_numbers(monkeypatch):
    class Other(Fade):
        name = "other"

    monkeypatch.setattr(module, "OPERATIONS", (*augment.OPERATIONS, Fade(), Other()))
    numbers = uniforms(augmentations=(FADED, FADED))
    fade, other = numbers[..., -6:-3], numbers[..., -3:]
    assert not np.isclose(fade, other).any()


def test_a_new_operation_that_occurs_in_one_view_leaves_the_other(images, fade):
    parameters = augment.draw(
        (FULL, FADED), tf.constant(uniforms(range(40), augmentations=(FULL, FADED))), 16, 16
    )
    assert "fade" not in parameters[0]
    assert "fade" in parameters[1]
    expected = augment.draw((FULL, FULL), tf.constant(uniforms(range(40))), 16, 16)
    tf.nest.map_structure(np.testing.assert_array_equal, expected[0], parameters[0])


def test_numbers_of_both_views_are_independent():
    both = numbers().numpy()
    flat = np.concatenate([both[0], both[1]], axis=1)
    correlation = np.corrcoef(flat.T) - np.eye(flat.shape[1])
    assert np.abs(correlation).max() < 5 / math.sqrt(N)


def test_numbers_depend_on_seed_epoch_and_example_alone():
    examples, epochs = (7, 3, 9), (1, 1, 2)
    batch = uniforms(examples, epochs)
    for i in range(3):
        alone = uniforms(examples[i : i + 1], epochs[i : i + 1])
        np.testing.assert_array_equal(alone[:, 0], batch[:, i])
    np.testing.assert_array_equal(uniforms(examples, epochs, augmentations=(FULL,) * 4)[:2], batch)
    for changed in (
        uniforms(examples, epochs, seed=6),
        uniforms(examples, np.add(epochs, 1)),
        uniforms(np.add(examples, 1), epochs),
    ):
        assert not np.isclose(changed, batch).any(axis=2).all()
    assert not np.isclose(batch[0], batch[1]).any()


def test_operations_that_cannot_occur_are_not_drawn():
    none = Augmentation.preset("none")
    (drawn,) = augment.draw((none,), tf.constant(uniforms(augmentations=(none,))), 16, 16)
    assert list(drawn) == ["crop"]


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
        views(images, (FULL, FULL), 16, count=4)


def test_apply_is_the_same_compiled_and_not():
    images = np.random.RandomState(0).randint(0, 256, (6, 48, 40, 3), np.uint8)
    augmentation = Augmentation(blur_probability=0.8)
    numbers = tf.constant(uniforms(range(6), augmentations=(augmentation,)))
    (parameters,) = augment.draw((augmentation,), numbers, 48, 40)
    plain = augment.apply(augmentation, images, parameters, 32)
    compiled = tf.function(augment.apply, jit_compile=True)(
        augmentation, tf.constant(images), parameters, 32
    )
    assert plain.shape == (6, 32, 32, 3)
    np.testing.assert_allclose(plain, compiled, atol=2e-4)


def test_preset_none_only_normalizes():
    images = np.random.RandomState(0).randint(0, 256, (4, 32, 32, 3), np.uint8)
    augmentation = Augmentation.preset("none")
    numbers = tf.constant(uniforms(range(4), augmentations=(augmentation,)))
    (parameters,) = augment.draw((augmentation,), numbers, 32, 32)
    found = augment.apply(augmentation, images, parameters, 32)
    expected = (images / 255.0 - augmentation.mean) / augmentation.std
    np.testing.assert_allclose(found, expected, atol=1e-5)


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
