"""Arrays in .npy files against NumPy."""

import io

import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam import Pixels, load
from keras_simsiam.data.decoding import decode, deep_values, examine

VALUES = np.random.RandomState(0).randint(0, 250, (5, 7, 4))
FOUR = Pixels(4)


def saved(array, version=(1, 0), **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "kind", ["u1", "<u2", ">u2", "<i2", "<u4", "<i4", "<i8", "<f2", "<f4", ">f4", "<f8"]
)
def test_values_of_each_type_are_numpys(kind):
    contents = saved(VALUES.astype(kind), version=(2, 0))
    deep = deep_values(4)(contents)
    if kind == "u1":
        assert deep.shape == (0, 0, 4)
        np.testing.assert_array_equal(decode(contents, FOUR), VALUES)
    else:
        np.testing.assert_array_equal(deep, VALUES)
    of_range = decode(contents, Pixels(4, (0,) * 4, (250, 250, 250, 125)))
    if kind != "u1":
        expected = np.rint(255 * np.minimum(VALUES / [250, 250, 250, 125], 1))
        assert np.abs(of_range.numpy() - expected).max() <= 1
    assert examine(contents, FOUR).numpy().tolist() == [5, 7]


def test_large_values_keep_their_sign():
    contents = saved(np.array([[[2**32 - 1], [2**31]]], np.uint32))
    np.testing.assert_array_equal(deep_values(1)(contents), np.float32([[[2**32], [2**31]]]))


def test_without_a_range_the_largest_value_of_the_type_is_white():
    for array in (np.full((2, 2), 65535, np.uint16), np.ones((2, 2)), np.ones((2, 2), bool)):
        assert (decode(saved(array), Pixels(1)).numpy() == 255).all()
        assert decode(saved(array)).shape == (2, 2, 3)


def test_what_is_not_a_number_is_black_and_infinity_is_clipped():
    found = decode(saved(np.array([[np.nan, np.inf, -np.inf, 0.5]], np.float32)), Pixels(1))
    assert found[0, :, 0].numpy().tolist() == [0, 255, 0, 128]


def test_channels_may_come_first():
    found = decode(saved(np.moveaxis(VALUES, 2, 0).astype(np.uint8)), FOUR)
    np.testing.assert_array_equal(found, VALUES)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (saved(VALUES.astype("u1")), "4 channels where 3 are expected; "),
        (saved(VALUES.astype("u1"))[:-1], "cut off"),
        (saved(VALUES.astype("u1"))[:20], "npy"),
        (saved(np.asfortranarray(VALUES.astype("u1"))), "not in C order"),
        (saved(np.zeros(3)), "shape"),
        (saved(np.zeros((2, 2, 2, 3))), "shape"),
        (saved(np.zeros((0, 4))), "shape"),
        (saved(np.zeros((2, 2), complex)), "another type than numbers"),
        (saved(np.zeros((2, 2), [("a", "u1")])), "another type than numbers"),
        (saved(np.array([[{}]]), allow_pickle=True), "another type than numbers"),
    ],
)
def test_anything_else_is_refused(contents, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode(contents)


@pytest.mark.parametrize("check_files", ["full", "header"])
def test_a_name_in_capitals_is_one_too(check_files, tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.NPY").write_bytes(saved(VALUES[: 3 + i].astype(np.uint8)))
    images = load(f"folder:{tmp_path}", check_files=check_files, pixels=FOUR).images
    assert len(images) == 3
    np.testing.assert_array_equal(images.image(2), VALUES)
