"""Quarter turns against torchvision's rotation."""

import numpy as np
import tensorflow as tf
from helpers.views import LEAST_P, N, drawn
from scipy import stats

from keras_simsiam import Augmentation
from keras_simsiam.augment.planes import to_images
from keras_simsiam.augment.turn import quarter_turns


def test_turns_are_torchvisions(arrays, planes):
    turns = tf.repeat(tf.range(4), 2)
    found = to_images(quarter_turns(tf.tile(planes[:2], [4, 1, 1, 1]), turns)).numpy() * 255
    np.testing.assert_allclose(found.reshape(4, 2, 64, 64, 3), arrays["turns"], atol=1e-4)


def test_all_directions_are_equally_likely_at_three_quarters():
    turns = drawn(Augmentation(turn_probability=0.75))["turn"]["turns"]
    assert stats.chisquare(np.bincount(turns, minlength=4)).pvalue > LEAST_P


def test_images_are_turned_as_often_as_asked_for():
    turned = int((drawn(Augmentation(turn_probability=0.2))["turn"]["turns"] > 0).sum())
    assert stats.binomtest(turned, N, 0.2).pvalue > LEAST_P
