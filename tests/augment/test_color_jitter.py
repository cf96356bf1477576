"""Color jitter against torchvision's."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from helpers.views import LEAST_P, N, drawn
from scipy import stats

from keras_simsiam import Augmentation
from keras_simsiam.augment.color_jitter import color_jitter, shift_hue
from keras_simsiam.augment.planes import to_images

NEUTRAL = np.array([1, 1, 1, 0], np.float32)


def jitter(planes, factors, order=(0, 1, 2, 3)):
    n = planes.shape[0]
    factors = np.broadcast_to(factors, (n, 4)).astype(np.float32)
    return color_jitter(planes, tf.constant(factors), tf.tile([order], [n, 1]))


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_color_operation_is_torchvisions(name, arrays, planes):
    factors = np.tile(NEUTRAL, (len(arrays["images"]), 1))
    factors[:, ["brightness", "contrast", "saturation", "hue"].index(name)] = arrays[
        f"{name}_factor"
    ]
    found = to_images(jitter(planes, factors))
    np.testing.assert_allclose(found, arrays[f"{name}_float"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_color_operations_happen_in_the_given_order(order, planes):
    factors = np.array([1.4, 0.6, 1.4, 0.1], np.float32)
    expected = planes
    for operation in order:
        one = NEUTRAL.copy()
        one[operation] = factors[operation]
        expected = jitter(expected, one)
    np.testing.assert_allclose(jitter(planes, factors, order), expected, atol=1e-5)


def test_each_image_has_an_order_of_its_own(planes):
    factors = tf.constant([[1.4, 0.6, 1.4, 0.1]] * 2)
    two = tf.repeat(planes[:1], 2, axis=0)
    both = color_jitter(two, factors, tf.constant([[0, 1, 2, 3], [3, 2, 1, 0]]))
    np.testing.assert_allclose(both[0], jitter(two, factors[0], (0, 1, 2, 3))[0], atol=1e-6)
    np.testing.assert_allclose(both[1], jitter(two, factors[0], (3, 2, 1, 0))[1], atol=1e-6)
    assert np.abs(both[0] - both[1]).max() > 0.01


def test_a_full_turn_of_hue_is_the_image(planes):
    for shift in (-1.0, 1.0):
        turned = shift_hue(planes, tf.fill([len(planes), 1, 1, 1], shift))
        np.testing.assert_allclose(turned, planes, atol=1e-5)


def test_factors_of_jittered_images_are_uniform_in_their_ranges():
    factors = drawn(Augmentation())["color_jitter"]["factors"]
    jittered = (factors != NEUTRAL).any(axis=1)
    assert stats.binomtest(int(jittered.sum()), N, 0.8).pvalue > LEAST_P
    for i, (low, high) in enumerate([(0.6, 1.4)] * 3 + [(-0.1, 0.1)]):
        uniform = stats.uniform(low, high - low)
        assert stats.kstest(factors[jittered, i], uniform.cdf).pvalue > LEAST_P


def test_factors_below_zero_are_cut_off_as_torchvisions_are():
    p = drawn(Augmentation(brightness=1.5, jitter_probability=1.0))["color_jitter"]
    assert stats.kstest(p["factors"][:, 0], stats.uniform(0, 2.5).cdf).pvalue > LEAST_P


def test_each_order_is_equally_likely():
    order = drawn(Augmentation())["color_jitter"]["order"]
    counts = [int((order == list(o)).all(axis=1).sum()) for o in itertools.permutations(range(4))]
    assert sum(counts) == N
    assert stats.chisquare(counts).pvalue > LEAST_P
