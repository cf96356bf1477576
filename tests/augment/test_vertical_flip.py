"""The vertical flip against torchvision's."""

import numpy as np
import tensorflow as tf
from helpers.views import LEAST_P, N, drawn
from scipy import stats

from keras_simsiam import Augmentation
from keras_simsiam.augment.planes import to_images
from keras_simsiam.augment.vertical_flip import flip_vertically


def test_flip_is_torchvisions_where_it_is_drawn(arrays, planes):
    found = to_images(flip_vertically(planes[:2], tf.constant([True, False]))).numpy() * 255
    np.testing.assert_allclose(found[0], arrays["vertical_flip"][0], atol=1e-4)
    np.testing.assert_allclose(found[1], arrays["images"][1], atol=1e-4)


def test_views_are_flipped_as_often_as_asked_for():
    happened = int(
        drawn(Augmentation(vertical_flip_probability=0.3))["vertical_flip"]["flip"].sum()
    )
    assert stats.binomtest(happened, N, 0.3).pvalue > LEAST_P
