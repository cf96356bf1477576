"""Layout and normalization."""

import numpy as np

from keras_simsiam.augment.planes import normalize, to_images
from keras_simsiam.augmentation import IMAGENET_MEAN, IMAGENET_STD


def test_planes_are_the_images_in_zero_to_one(arrays, planes):
    assert planes.shape == (len(arrays["images"]), 3, *arrays["images"].shape[1:3])
    np.testing.assert_allclose(to_images(planes), arrays["images"] / 255.0, atol=1e-6)


def test_normalize_is_torchvisions(arrays, planes):
    found = to_images(normalize(planes, IMAGENET_MEAN, IMAGENET_STD))
    np.testing.assert_allclose(found, arrays["normalized"], atol=1e-5, rtol=0)
