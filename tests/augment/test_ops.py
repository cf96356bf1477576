"""Pixel operations against torchvision's and Pillow's results."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam import _compat
from keras_simsiam.augment import ops
from keras_simsiam.config import IMAGENET_MEAN, IMAGENET_STD

NEUTRAL = np.array([1, 1, 1, 0], np.float32)


@pytest.fixture(scope="module")
def arrays(reference):
    return reference("ops")


@pytest.fixture(scope="module")
def planes(arrays):
    return ops.to_planes(arrays["images"])


def crop(arrays, planes, size, flip=False):
    boxes = tf.cast(arrays["crop_boxes_yxhw"], tf.float32)
    cropped = ops.resized_crop(planes, boxes, size, tf.fill([len(boxes)], flip))
    return ops.to_images(cropped).numpy()


def jitter(planes, factors, order=(0, 1, 2, 3)):
    n = planes.shape[0]
    factors = np.broadcast_to(factors, (n, 4)).astype(np.float32)
    return ops.color_jitter(planes, tf.constant(factors), tf.tile([order], [n, 1]))


@pytest.mark.parametrize("size", [32, 64, 96])
def test_resized_crop_is_pillows(size, arrays, planes):
    difference = np.abs(crop(arrays, planes, size) * 255 - arrays[f"resized_crop_{size}"])
    assert difference.mean() <= 0.5
    assert difference.max() <= 1.5


def test_flip_mirrors_the_crop(arrays, planes):
    flipped, straight = crop(arrays, planes, 32, flip=True), crop(arrays, planes, 32)
    np.testing.assert_allclose(flipped[:, :, ::-1], straight, atol=1e-6)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_color_operation_is_torchvisions(name, arrays, planes):
    factors = np.tile(NEUTRAL, (len(arrays["images"]), 1))
    factors[:, ["brightness", "contrast", "saturation", "hue"].index(name)] = arrays[
        f"{name}_factor"
    ]
    found = ops.to_images(jitter(planes, factors))
    np.testing.assert_allclose(found, arrays[f"{name}_float"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_color_operations_happen_in_the_order_asked_for(order, planes):
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
    both = ops.color_jitter(two, factors, tf.constant([[0, 1, 2, 3], [3, 2, 1, 0]]))
    np.testing.assert_allclose(both[0], jitter(two, factors[0], (0, 1, 2, 3))[0], atol=1e-6)
    np.testing.assert_allclose(both[1], jitter(two, factors[0], (3, 2, 1, 0))[1], atol=1e-6)
    assert np.abs(both[0] - both[1]).max() > 0.01


def test_hue_turned_all_the_way_round_is_the_image(planes):
    for shift in (-1.0, 1.0):
        turned = ops.shift_hue(planes, tf.fill([len(planes), 1, 1, 1], shift))
        np.testing.assert_allclose(turned, planes, atol=1e-5)


def test_grayscale_is_pillows(arrays, planes):
    gray = ops.to_images(ops.grayscale(planes, tf.fill([len(planes)], True))).numpy() * 255
    assert np.abs(gray - arrays["grayscale_pil"]).max() <= 1
    assert (gray[..., 0] == gray[..., 2]).all()


def test_blur_is_pillows_but_for_its_box_approximation(arrays, planes):
    blurred = ops.gaussian_blur(planes, tf.constant(arrays["blur_sigma"]), 2.0)
    difference = np.abs(ops.to_images(blurred).numpy() * 255 - arrays["blur_pil"])
    assert difference.mean() <= 0.6


def test_blur_is_scipys_gaussian(planes):
    ndimage = pytest.importorskip("scipy.ndimage")
    blurred = ops.gaussian_blur(planes, tf.fill([len(planes)], 1.3), 2.0)
    expected = ndimage.gaussian_filter(
        planes.numpy(), (0, 0, 1.3, 1.3), mode="nearest", radius=(0, 0, 6, 6)
    )
    np.testing.assert_allclose(blurred, expected, atol=1e-5)


@pytest.mark.skipif(_compat.KERAS_3, reason="TensorFlow Addons runs on Keras 2 only")
@pytest.mark.parametrize("sigma", [0.5, 1.3, 2.0])
def test_blur_is_that_of_tensorflow_addons(planes, sigma):
    """But for the border, which Addons cannot repeat outwards."""
    addons = pytest.importorskip("tensorflow_addons", reason="needs pip install '.[addons]'")
    blurred = ops.gaussian_blur(planes, tf.fill([len(planes)], sigma), 2.0)
    expected = addons.image.gaussian_filter2d(ops.to_images(planes), (13, 13), sigma)
    inside = slice(6, -6)
    np.testing.assert_allclose(
        ops.to_images(blurred)[:, inside, inside], expected[:, inside, inside], atol=1e-5
    )


def test_blur_of_sigma_zero_leaves_the_image(planes):
    np.testing.assert_allclose(
        ops.gaussian_blur(planes, tf.zeros([len(planes)]), 2.0), planes, atol=1e-6
    )


def test_normalize_is_torchvisions(arrays, planes):
    found = ops.to_images(ops.normalize(planes, IMAGENET_MEAN, IMAGENET_STD))
    np.testing.assert_allclose(found, arrays["normalized"], atol=1e-5, rtol=0)
