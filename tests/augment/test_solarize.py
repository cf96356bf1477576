"""Solarization against torchvision's."""

import numpy as np
import tensorflow as tf
from helpers.views import LEAST_P, N, drawn
from scipy import stats

from keras_simsiam import Augmentation
from keras_simsiam.augment.planes import to_images
from keras_simsiam.augment.solarize import solarize


def test_solarization_is_torchvisions_where_it_is_drawn(arrays, planes):
    where = np.array([True, True, False, True])
    # torchvision's threshold of 128 for uint8 is half of 256, and the pixels here are of 255.
    found = to_images(solarize(planes[:4], tf.constant(where), 128 / 255)).numpy() * 255
    np.testing.assert_allclose(found[where], arrays["solarize_uint8"][where], atol=1e-3)
    np.testing.assert_allclose(found[~where], arrays["images"][:4][~where], atol=1e-4)


def test_views_are_solarized_as_often_as_asked_for():
    happened = int(drawn(Augmentation(solarize_probability=0.2))["solarize"]["where"].sum())
    assert stats.binomtest(happened, N, 0.2).pvalue > LEAST_P
