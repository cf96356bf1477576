"""The native operations against torchvision, Pillow and SciPy, and against those in TensorFlow."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from keras_simsiam import Augmentation, augment, views
from keras_simsiam.augment import native as ops
from keras_simsiam.augment.color_jitter import color_jitter
from keras_simsiam.augment.crop import Crop, crop_image
from keras_simsiam.augment.planes import to_images, to_planes
from keras_simsiam.data import ImageFiles
from keras_simsiam.data.images import square
from keras_simsiam.data.plan import Plan

pytestmark = [pytest.mark.usefixtures("native"), pytest.mark.slow]  # they are compiled first

FULL = Augmentation()
OFTEN = Augmentation(
    jitter_probability=0.9, grayscale_probability=0.4, blur_probability=0.6, hue=0.5, contrast=1.5
)
UNCHANGED = Augmentation(mean=(0.0,) * 3, std=(1.0,) * 3)
NEUTRAL = np.array([1, 1, 1, 0], np.float32)


def apply(images, size=None, **parameters):
    """Pixels in 0 to 1 after some operations with given parameters."""
    crop = {"flip": tf.zeros([len(images)], tf.bool), **parameters.pop("crop", {})}
    size = size or images.shape[1]
    return ops.apply(UNCHANGED, images, {"crop": crop, **parameters}, size).numpy()


def photographs(count, height, width):
    """Crops of a photograph, and as many images of noise."""
    from skimage import data

    photo = data.astronaut()[:400, :400]
    shifted = np.stack([np.roll(photo, 37 * i, 1) for i in range(count)])
    resized = tf.image.resize(shifted, (height, width), antialias=True)
    noise = np.random.RandomState(0).randint(0, 256, (count, height, width, 3), np.uint8)
    return np.concatenate([tf.cast(tf.round(resized), tf.uint8), noise])


def drawn(augmentation, count, height, width):
    examples = tf.range(count, dtype=tf.int64)
    numbers = augment.uniforms(3, 0 * examples, examples, (augmentation,))
    return augment.draw((augmentation,), numbers, height, width)[0]


@pytest.mark.parametrize("size", [32, 64, 96])
def test_crop_is_pillows(size, arrays):
    boxes = tf.cast(arrays["crop_boxes_yxhw"], tf.float32)
    found = apply(arrays["images"], size, crop={"box": boxes})
    difference = np.abs(found * 255 - arrays[f"resized_crop_{size}"])
    assert difference.mean() <= 0.5
    assert difference.max() <= 1.5
    flipped = apply(
        arrays["images"], size, crop={"box": boxes, "flip": tf.fill([len(boxes)], True)}
    )
    np.testing.assert_array_equal(flipped[:, :, ::-1], found)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_color_operation_is_torchvisions(name, arrays):
    factors = np.tile(NEUTRAL, (len(arrays["images"]), 1))
    factors[:, ["brightness", "contrast", "saturation", "hue"].index(name)] = arrays[
        f"{name}_factor"
    ]
    order = tf.tile([[0, 1, 2, 3]], [len(factors), 1])
    found = apply(arrays["images"], color_jitter={"factors": tf.constant(factors), "order": order})
    np.testing.assert_allclose(found, arrays[f"{name}_float"], atol=1e-4, rtol=0)


def test_color_operations_happen_in_the_order_of_each_image(arrays):
    order = tf.constant(list(itertools.permutations(range(4))))
    images = np.repeat(arrays["images"][:1], 24, axis=0)
    factors = tf.tile([[1.4, 0.6, 1.4, 0.1]], [24, 1])
    found = apply(images, color_jitter={"factors": factors, "order": order})
    expected = to_images(color_jitter(to_planes(images), factors, order))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_grayscale_is_pillows(arrays):
    images = arrays["images"]
    found = apply(images, grayscale={"where": tf.fill([len(images)], True)})
    assert np.abs(found * 255 - arrays["grayscale_pil"]).max() <= 1


@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0])
def test_blur_is_scipys_gaussian(sigma, arrays):
    images = arrays["images"]
    found = apply(images, blur={"sigma": tf.fill([len(images)], sigma)})
    expected = ndimage.gaussian_filter(
        images / 255.0, (0, sigma, sigma, 0), mode="nearest", radius=(0, 6, 6, 0)
    )
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(32, 32, 32), (30, 100, 96), (96, 64, 33), (375, 500, 224)],
)
def test_views_are_those_of_tensorflow(height, width, size):
    images = photographs(4 if size == 224 else 12, height, width)
    parameters = drawn(OFTEN, len(images), height, width)
    found = ops.apply(OFTEN, images, parameters, size)
    expected = augment.apply(OFTEN, images, parameters, size)
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=0)
    assert np.abs(found - expected).mean() < 1e-5


def test_views_of_crops_are_those_of_tensorflow():
    images = photographs(12, 48, 48)
    parameters = drawn(OFTEN, 24, None, None)
    found = ops.apply(OFTEN, images, parameters, 48)
    expected = augment.apply(OFTEN, images, parameters, 48)
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


def test_a_view_is_the_same_bit_for_bit_in_any_batch():
    images = photographs(12, 40, 56)
    parameters = drawn(OFTEN, 24, 40, 56)
    together = ops.apply(OFTEN, images, parameters, 32).numpy()
    for part in (slice(0, 1), slice(1, 8), slice(8, 24)):
        of_part = tf.nest.map_structure(lambda t, part=part: t[part], parameters)
        alone = ops.apply(OFTEN, images[part], of_part, 32)
        np.testing.assert_array_equal(alone, together[part])


_DIGEST = """
import hashlib, sys
import numpy as np
from keras_simsiam import Augmentation, views
images = np.random.RandomState(0).randint(0, 256, (64, 40, 40, 3), np.uint8)
x1, x2 = next(iter(views(images, Augmentation(), 64, seed=1, image_size=48)))
print(hashlib.sha256(x1.numpy().tobytes() + x2.numpy().tobytes()).hexdigest())
"""


def test_views_are_the_same_bit_for_bit_with_any_number_of_threads():
    def digest(threads):
        environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": str(threads)}
        command = [sys.executable, "-c", _DIGEST]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    assert digest(1) == digest(3)


def test_random_numbers_are_those_of_tensorflow_bit_for_bit():
    examples = tf.constant([0, 7, 2**33, 2**62], tf.int64)
    epochs = tf.constant([0, 1, 2**31, 5], tf.int64)
    for augmentations in ((FULL, FULL), (FULL,) * 3):
        arguments = (2**31 - 1, epochs, examples, augmentations)
        np.testing.assert_array_equal(
            augment.uniforms(*arguments, use_native=True), augment.uniforms(*arguments)
        )


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(64, 64, 64), (375, 500, 224), (300, 30, 64), (1, 3, 8), (900, 700, 32)],
)
def test_crops_of_files_are_tf_image_resize_bit_for_bit(height, width, size):
    image = tf.constant(photographs(1, height, width)[-1])
    examples = tf.range(8, dtype=tf.int64)
    both = (FULL, FULL.replace(crop_area=(0.05, 0.14)))
    numbers = augment.uniforms(0, 0 * examples, examples, both)
    for drawn in augment.proportions(both, numbers):
        found = augment.crops(both, image, drawn, (size, size // 2), use_native=True)
        expected = augment.crops(both, image, drawn, (size, size // 2))
        for crop, crop_expected in zip(found, expected, strict=True):
            np.testing.assert_array_equal(crop, crop_expected)


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(64, 64, 64), (375, 500, 224), (300, 30, 64), (3, 1, 8), (33, 47, 64), (501, 331, 100)],
)
def test_whole_images_are_tf_image_resize_bit_for_bit(height, width, size):
    for image in photographs(1, height, width):
        expected = square(tf.constant(image), size)
        np.testing.assert_array_equal(ops.square(tf.constant(image), size), expected)


def test_boxes_are_those_of_tensorflow():
    """By the crops of an image whose pixels say where they are."""
    rows, columns = np.meshgrid(np.arange(200), np.arange(150), indexing="ij")
    image = tf.constant(np.stack([rows, columns, rows * 0], -1).astype(np.uint8))
    examples = tf.range(80, dtype=tf.int64)
    both = (FULL, FULL)
    drawn = augment.proportions(both, augment.uniforms(1, 0 * examples, examples, both))
    boxes = tf.cast(Crop().box(FULL, drawn[:, 0], 200, 150), tf.int32)
    for box, one in zip(boxes, drawn, strict=True):
        found = augment.crops(both, image, one, (8, 8), use_native=True)[0]
        np.testing.assert_array_equal(found, crop_image(image, box, 8))


def test_batches_are_those_of_tensorflow(monkeypatch, tmp_path):
    """In tf.data, from memory and from files of many sizes."""
    images = photographs(8, 40, 40)
    paths = []
    for i, image in enumerate(images):
        paths.append(str(tmp_path / f"{i}.png"))
        tf.io.write_file(paths[-1], tf.io.encode_png(image[: 30 + i % 9]))
    for source in (images, ImageFiles(paths)):
        found = next(iter(views(source, (OFTEN, FULL), 16, image_size=32)))
        with monkeypatch.context() as without:
            without.setattr(ops, "operations", lambda: None)
            expected = next(iter(views(source, (OFTEN, FULL), 16, image_size=32)))
        for x, x_expected in zip(found, expected, strict=True):
            np.testing.assert_allclose(x, x_expected, atol=1e-3, rtol=0)
            assert (x.numpy() != x_expected.numpy()).any()  # so that it was really used


def test_operations_that_they_do_not_know_are_left_to_tensorflow():
    assert ops.knows(["crop", "color_jitter", "grayscale", "blur"])
    assert ops.knows(["crop", "blur"])
    assert not ops.knows(["crop", "fade"])
    assert not ops.knows(["crop", "blur", "grayscale"])


def test_they_are_not_sent_to_workers_that_may_not_have_them():
    plan = Plan((FULL, FULL), 4, (32, 32))
    assert plan.use_native
    assert not Plan((FULL, FULL), 4, (32, 32), sent=True).use_native


@pytest.mark.parametrize("box", [[-1, 0, 8, 8], [0, 0, 0, 8], [0, 4, 8, 5], [0, 0, 9, 8]])
def test_a_box_outside_of_the_image_is_an_error(box):
    images = np.zeros([1, 8, 8, 3], np.uint8)
    with pytest.raises(tf.errors.InvalidArgumentError, match="inside of the image"):
        apply(images, 8, crop={"box": tf.constant([box], tf.float32)})
