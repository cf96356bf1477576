"""Grayscale against Pillow's."""

import numpy as np
import tensorflow as tf
from helpers.views import LEAST_P, N, drawn
from scipy import stats

from keras_simsiam import Augmentation
from keras_simsiam.augment.grayscale import grayscale
from keras_simsiam.augment.planes import to_images


def test_grayscale_is_pillows(arrays, planes):
    gray = to_images(grayscale(planes, tf.fill([len(planes)], True))).numpy() * 255
    assert np.abs(gray - arrays["grayscale_pil"]).max() <= 1
    assert (gray[..., 0] == gray[..., 2]).all()


def test_images_that_are_not_drawn_stay_as_they_are(planes):
    where = np.arange(len(planes)) % 2 == 0
    found = grayscale(planes, tf.constant(where)).numpy()
    np.testing.assert_array_equal(found[~where], planes.numpy()[~where])
    assert (found[where] != planes.numpy()[where]).any()


def test_a_fifth_of_the_views_becomes_gray():
    happened = int(drawn(Augmentation())["grayscale"]["where"].sum())
    assert stats.binomtest(happened, N, 0.2).pvalue > LEAST_P
