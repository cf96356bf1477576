"""The crop's boxes against torchvision's definition, its pixels against Pillow's."""

import math

import numpy as np
import pytest
import tensorflow as tf
from helpers.views import LEAST_P, N, drawn
from scipy import stats

from keras_simsiam import Augmentation
from keras_simsiam.augment.crop import Crop, crop_image, resized_crop
from keras_simsiam.augment.planes import to_images, to_planes


def crop(arrays, planes, size, flip=False):
    boxes = tf.cast(arrays["crop_boxes_yxhw"], tf.float32)
    return to_images(resized_crop(planes, boxes, size, tf.fill([len(boxes)], flip))).numpy()


@pytest.mark.parametrize("size", [32, 64, 96])
def test_resized_crop_is_pillows(size, arrays, planes):
    difference = np.abs(crop(arrays, planes, size) * 255 - arrays[f"resized_crop_{size}"])
    assert difference.mean() <= 0.5
    assert difference.max() <= 1.5


def test_flip_mirrors_the_crop(arrays, planes):
    flipped, straight = crop(arrays, planes, 32, flip=True), crop(arrays, planes, 32)
    np.testing.assert_allclose(flipped[:, :, ::-1], straight, atol=1e-6)


def test_a_crop_of_one_image_is_that_of_a_batch(arrays, planes):
    expected = crop(arrays, planes, 32) * 255
    for image, box, one in zip(arrays["images"], arrays["crop_boxes_yxhw"], expected, strict=True):
        found = crop_image(tf.constant(image), tf.constant(box, tf.int32), 32).numpy()
        assert np.abs(found - one).max() <= 0.51  # rounded to uint8


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
    found = drawn(Augmentation(), height, width)["crop"]["box"]
    expected = np.array(list(torchvision_boxes(height, width, N)))
    for side, name in enumerate(("top", "left", "height", "width")):
        p = stats.ks_2samp(found[:, side], expected[:, side], method="asymp").pvalue
        assert p > LEAST_P, name
    area, expected_area = (b[:, 2] * b[:, 3] for b in (found, expected))
    assert stats.ks_2samp(area, expected_area, method="asymp").pvalue > LEAST_P
    assert (found[:, :2] >= 0).all()
    assert (found[:, 0] + found[:, 2] <= height).all()
    assert (found[:, 1] + found[:, 3] <= width).all()


def test_crops_that_never_fit_are_torchvisions_center():
    # 20×200 pixels: no box of an allowed ratio has 90% of the area.
    found = drawn(Augmentation(crop_area=(0.9, 1.0)), 20, 200)["crop"]["box"]
    assert (found == [0, (200 - 27) // 2, 20, 27]).all()


def test_flips_happen_half_of_the_time():
    happened = int(drawn(Augmentation())["crop"]["flip"].sum())
    assert stats.binomtest(happened, N, 0.5).pvalue > LEAST_P


def test_crops_are_mirrored_as_drawn_and_not_cropped_again():
    parameters = drawn(Augmentation(), None, None)["crop"]
    assert list(parameters) == ["flip"]
    assert (parameters["flip"] == drawn(Augmentation())["crop"]["flip"]).all()
    images = np.random.RandomState(0).randint(0, 256, (8, 6, 6, 3), np.uint8)
    flip = parameters["flip"][:8]
    assert flip.any()
    assert not flip.all()
    found = Crop().apply(Augmentation(), to_planes(images), {"flip": tf.constant(flip)}, 6)
    expected = np.where(flip[:, None, None, None], images[:, :, ::-1], images)
    np.testing.assert_allclose(255 * to_images(found), expected, atol=1e-4)
