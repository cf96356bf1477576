"""Random erasing against torchvision's."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.views import LEAST_P, N, drawn
from scipy import stats

from keras_simsiam import Augmentation
from keras_simsiam.augment.erase import erase, rectangle
from keras_simsiam.augment.planes import normalize, to_images

OFTEN = Augmentation(erase_probability=1.0)


@pytest.fixture(scope="module")
def rectangles():
    """Top, left, height and width of those in views of 224 pixels."""
    parameters = drawn(OFTEN)["erase"]
    return rectangle(parameters["sides"], parameters["corner"], 224).numpy()


def test_erased_images_are_torchvisions(arrays, planes):
    erased = erase(planes[:2], tf.constant(arrays["erase_boxes_yxhw"]), OFTEN.mean)
    found = to_images(normalize(erased, OFTEN.mean, OFTEN.std))
    np.testing.assert_allclose(found, arrays["erase_normalized"], atol=1e-4)


def test_rectangles_have_the_distribution_of_torchvisions(arrays, rectangles):
    expected = arrays["erase_drawn_yxhw_of_224"]
    for name, of in {
        "top": lambda box: box[:, 0] / (225 - box[:, 2]),
        "left": lambda box: box[:, 1] / (225 - box[:, 3]),
        "height": lambda box: box[:, 2],
        "width": lambda box: box[:, 3],
        "area": lambda box: box[:, 2] * box[:, 3],
    }.items():
        p = stats.ks_2samp(of(rectangles), of(expected.astype(np.float32))).pvalue
        assert p > LEAST_P, name


def test_rectangles_are_inside_of_the_view(rectangles):
    assert (rectangles[:, :2] >= 0).all()
    assert (rectangles[:, :2] + rectangles[:, 2:] <= 224).all()


def test_views_are_erased_as_often_as_asked_for():
    sides = drawn(Augmentation(erase_probability=0.3))["erase"]["sides"]
    assert ((sides > 0).all(axis=1) == (sides > 0).any(axis=1)).all()
    assert stats.binomtest(int((sides[:, 0] > 0).sum()), N, 0.3).pvalue > LEAST_P


def test_nothing_is_erased_if_no_rectangle_fits():
    narrow = OFTEN.replace(erase_area=(0.9, 1.0), erase_ratio=(3.0, 3.3))
    assert not drawn(narrow)["erase"]["sides"].any()
