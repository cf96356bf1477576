"""The drawn parameters against torchvision's definitions, and what they depend on."""

import functools
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_simsiam import Augmentation, InputError, augment

N = 20_000
LEAST_P = 1e-3  # the seed is fixed, so this either holds or does not


@functools.cache
def numbers(seed):
    """Numbers for N examples of the first epoch."""
    examples = tf.range(N, dtype=tf.int64)
    return tf.function(augment.uniforms)(seed, tf.zeros_like(examples), examples)


def drawn(augmentation, height=64, width=64, seed=0):
    parameters = augment.draw(augmentation, numbers(seed)[0], height, width)
    return augment.ViewParameters(*(p.numpy() for p in parameters))


def torchvision_boxes(height, width, count):
    """RandomResizedCrop.get_params((0.2, 1), (3/4, 4/3)) as torchvision's source has it."""
    random = np.random.RandomState(0)
    for _ in range(count):
        for _ in range(10):
            area = height * width * random.uniform(0.2, 1.0)
            ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                yield random.randint(0, height - h + 1), random.randint(0, width - w + 1), h, w
                break
        else:
            if width / height < 3 / 4:
                w, h = width, round(width / (3 / 4))
            elif width / height > 4 / 3:
                w, h = round(height * (4 / 3)), height
            else:
                w, h = width, height
            yield (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 90), (30, 200)])
def test_crops_are_distributed_as_torchvisions(height, width):
    found = drawn(Augmentation(), height, width).box
    expected = np.array(list(torchvision_boxes(height, width, N)))
    for side, name in enumerate(("top", "left", "height", "width")):
        p = stats.ks_2samp(found[:, side], expected[:, side], method="asymp").pvalue
        assert p > LEAST_P, name
    area, expected_area = (b[:, 2] * b[:, 3] for b in (found, expected))
    assert stats.ks_2samp(area, expected_area, method="asymp").pvalue > LEAST_P
    assert (found[:, :2] >= 0).all()
    assert (found[:, 0] + found[:, 2] <= height).all()
    assert (found[:, 1] + found[:, 3] <= width).all()


def test_crops_that_never_fit_take_torchvisions_centre():
    # 1×40 pixels: no box of an allowed ratio and at least 20% of the area has whole sides.
    found = drawn(Augmentation(crop_area=(0.9, 1.0)), 20, 200).box
    assert (found == [0, (200 - 27) // 2, 20, 27]).all()


def test_factors_are_uniform_in_their_ranges_where_there_is_jitter():
    p = drawn(Augmentation())
    jittered = (p.factors != [1, 1, 1, 0]).any(axis=1)
    assert stats.binomtest(int(jittered.sum()), N, 0.8).pvalue > LEAST_P
    for i, (low, high) in enumerate([(0.6, 1.4)] * 3 + [(-0.1, 0.1)]):
        uniform = stats.uniform(low, high - low)
        assert stats.kstest(p.factors[jittered, i], uniform.cdf).pvalue > LEAST_P


def test_factors_below_zero_are_cut_off_as_torchvisions_are():
    p = drawn(Augmentation(brightness=1.5, jitter_probability=1.0))
    assert stats.kstest(p.factors[:, 0], stats.uniform(0, 2.5).cdf).pvalue > LEAST_P


def test_each_order_of_the_color_operations_is_equally_likely():
    order = drawn(Augmentation()).order
    counts = [int((order == list(o)).all(axis=1).sum()) for o in itertools.permutations(range(4))]
    assert sum(counts) == N
    assert stats.chisquare(counts).pvalue > LEAST_P


@pytest.mark.parametrize(("name", "probability"), [("flip", 0.5), ("grayscale", 0.2)])
def test_flip_and_grayscale_happen_as_often_as_they_should(name, probability):
    happened = int(getattr(drawn(Augmentation()), name).sum())
    assert stats.binomtest(happened, N, probability).pvalue > LEAST_P


def test_blur_is_uniform_in_its_range_half_of_the_time():
    sigma = drawn(Augmentation()).sigma
    blurred = sigma > 0
    assert stats.binomtest(int(blurred.sum()), N, 0.5).pvalue > LEAST_P
    assert stats.kstest(sigma[blurred], stats.uniform(0.1, 1.9).cdf).pvalue > LEAST_P


def test_parameters_of_one_view_are_independent_of_each_other_and_of_the_other_view():
    both = numbers(0).numpy()
    flat = np.concatenate([both[0], both[1]], axis=1)
    correlation = np.corrcoef(flat.T) - np.eye(flat.shape[1])
    assert np.abs(correlation).max() < 5 / math.sqrt(N)


def test_numbers_depend_on_seed_epoch_and_example_alone():
    examples = tf.constant([7, 3, 9], tf.int64)
    epochs = tf.constant([1, 1, 2], tf.int64)
    batch = augment.uniforms(5, epochs, examples).numpy()
    for i in range(3):
        alone = augment.uniforms(5, epochs[i : i + 1], examples[i : i + 1]).numpy()
        np.testing.assert_array_equal(alone[:, 0], batch[:, i])
    for changed in (
        augment.uniforms(6, epochs, examples),
        augment.uniforms(5, epochs + 1, examples),
        augment.uniforms(5, epochs, examples + 1),
    ):
        assert not np.isclose(changed.numpy(), batch).any(axis=2).all()
    assert not np.isclose(batch[0], batch[1]).any()


def test_apply_is_the_same_compiled_and_not():
    images = np.random.RandomState(0).randint(0, 256, (6, 48, 40, 3), np.uint8)
    ids = tf.range(6, dtype=tf.int64)
    u = augment.uniforms(0, tf.zeros_like(ids), ids)
    augmentation = Augmentation(blur_probability=0.8)
    parameters = augment.draw(augmentation, u[0], 48, 40)
    plain = augment.apply(augmentation, images, parameters, 32)
    compiled = tf.function(augment.apply, jit_compile=True)(
        augmentation, tf.constant(images), parameters, 32
    )
    assert plain.shape == (6, 32, 32, 3)
    np.testing.assert_allclose(plain, compiled, atol=2e-4)


def test_preset_none_only_normalizes():
    images = np.random.RandomState(0).randint(0, 256, (4, 32, 32, 3), np.uint8)
    ids = tf.range(4, dtype=tf.int64)
    augmentation = Augmentation.preset("none")
    u = augment.uniforms(0, tf.zeros_like(ids), ids)
    x1 = augment.apply(augmentation, images, augment.draw(augmentation, u[0], 32, 32), 32)
    expected = (images / 255.0 - augmentation.mean) / augmentation.std
    np.testing.assert_allclose(x1, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hue": 0.6}, "hue 0.6"),
        ({"flip_probability": 1.5}, "flip_probability 1.5"),
        ({"crop_area": (0.5, 0.2)}, "crop_area 0.5 0.2"),
        ({"crop_area": (0.2, 1.2)}, "crop_area 0.2 1.2"),
        ({"crop_ratio": (0.0, 1.0)}, "crop_ratio 0.0 1.0"),
        ({"brightness": -1.0}, "brightness -1.0"),
    ],
)
def test_settings_that_make_no_sense_are_named(values, message):
    with pytest.raises(InputError, match=message):
        Augmentation(**values)
