"""What the network sees of whole images."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_simsiam.preprocessing import Preprocessing, resize_square


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80), (90, 33)])
@pytest.mark.parametrize("size", [24, 64])
def test_preprocessing_is_pillows_resize_and_center_crop(height, width, size):
    image = Image.fromarray(np.random.RandomState(0).randint(0, 256, (9, 9, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    scale = size / min(height, width)
    w, h = round(width * scale), round(height * scale)
    resized = image.resize((w, h), Image.Resampling.BILINEAR)
    left, top = (w - size) // 2, (h - size) // 2
    expected = np.asarray(resized.crop((left, top, left + size, top + size))) / 255.0
    found = Preprocessing(size, (0.5,) * 3, (0.25,) * 3)(np.asarray(image)[None])[0]
    np.testing.assert_allclose(found, (expected - 0.5) / 0.25, atol=1.01 / 255 / 0.25)


@pytest.mark.parametrize(
    ("height", "width"), [(64, 64), (23, 23), (50, 71), (33, 90), (7, 200), (48, 72), (301, 3)]
)
def test_the_encoders_resize_is_that_of_tensorflow(height, width):
    images = np.random.RandomState(0).randint(0, 256, (2, height, width, 3), np.uint8)
    for size in (23, 32):
        found = Preprocessing(size, (0.0,) * 3, (1.0,) * 3)(images)
        np.testing.assert_allclose(found, resize_square(images, size) / 255, atol=1e-6)


def test_images_of_the_right_size_are_not_resized():
    images = np.arange(2 * 16 * 16 * 3).reshape(2, 16, 16, 3).astype(np.uint8)
    found = Preprocessing(16, (0.0,) * 3, (1.0,) * 3)(images)
    np.testing.assert_array_equal(found, tf.cast(images, tf.float32) / 255)
