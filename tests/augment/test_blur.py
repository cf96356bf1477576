"""Blur against Pillow's, SciPy's and TensorFlow Addons'."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.views import LEAST_P, N, drawn
from scipy import ndimage, stats

from keras_simsiam import Augmentation
from keras_simsiam.augment.blur import gaussian_blur
from keras_simsiam.augment.planes import to_images

KERAS_2 = keras.__version__.startswith("2.")


def test_blur_is_pillows_but_for_its_box_approximation(arrays, planes):
    blurred = gaussian_blur(planes, tf.constant(arrays["blur_sigma"]), 2.0)
    difference = np.abs(to_images(blurred).numpy() * 255 - arrays["blur_pil"])
    assert difference.mean() <= 0.6


def test_blur_is_scipys_gaussian(planes):
    blurred = gaussian_blur(planes, tf.fill([len(planes)], 1.3), 2.0)
    expected = ndimage.gaussian_filter(
        planes.numpy(), (0, 0, 1.3, 1.3), mode="nearest", radius=(0, 0, 6, 6)
    )
    np.testing.assert_allclose(blurred, expected, atol=1e-5)


@pytest.mark.skipif(not KERAS_2, reason="TensorFlow Addons runs on Keras 2 only")
@pytest.mark.parametrize("sigma", [0.5, 1.3, 2.0])
def test_blur_is_that_of_tensorflow_addons(planes, sigma):
    """Except at the border, which Addons cannot repeat outwards."""
    addons = pytest.importorskip("tensorflow_addons", reason="needs pip install '.[addons]'")
    blurred = gaussian_blur(planes, tf.fill([len(planes)], sigma), 2.0)
    expected = addons.image.gaussian_filter2d(to_images(planes), (13, 13), sigma)
    inside = slice(6, -6)
    np.testing.assert_allclose(
        to_images(blurred)[:, inside, inside], expected[:, inside, inside], atol=1e-5
    )


def test_blur_of_sigma_zero_leaves_the_image(planes):
    np.testing.assert_allclose(
        gaussian_blur(planes, tf.zeros([len(planes)]), 2.0), planes, atol=1e-6
    )


def test_half_of_the_views_is_blurred_with_a_sigma_uniform_in_its_range():
    sigma = drawn(Augmentation())["blur"]["sigma"]
    blurred = sigma > 0
    assert stats.binomtest(int(blurred.sum()), N, 0.5).pvalue > LEAST_P
    assert stats.kstest(sigma[blurred], stats.uniform(0.1, 1.9).cdf).pvalue > LEAST_P
