"""The bundled dataset: what is in it, and that the splits share no pixel."""

import numpy as np
import pytest

from keras_simsiam import InputError, load
from keras_simsiam.data import photo_patches


@pytest.fixture
def numbered_photos(monkeypatch):
    """Two photos, 256×600, whose red and green give each pixel's column and blue the photo."""

    def photo(number):
        columns = np.arange(600)
        row = np.stack([columns // 256, columns % 256, np.full(600, number)], axis=1)
        return np.repeat(row[None].astype(np.uint8), 256, axis=0)

    monkeypatch.setattr(
        photo_patches, "PHOTOS", {"first": lambda: photo(1), "second": lambda: photo(2)}
    )


def columns(images):
    return images[..., 0].astype(int) * 256 + images[..., 1]


def test_default_sizes_are_300_and_60_patches_of_18_photos():
    train, test = load("photo_patches", "train"), load("photo_patches", "validation")
    assert train.images.shape == (18 * 300, 32, 32, 3)
    assert test.images.shape == (18 * 60, 32, 32, 3)
    assert train.images.dtype == np.uint8
    assert train.labels.dtype == np.int64
    assert len(train.class_names) == 18
    assert (np.bincount(train.labels) == 300).all()
    assert (np.bincount(test.labels) == 60).all()


def test_the_same_patches_every_time():
    np.testing.assert_array_equal(
        load("photo_patches", "train").images, load("photo_patches", "train").images
    )


def test_no_pixel_is_in_both_splits(numbered_photos, monkeypatch):
    monkeypatch.setattr(photo_patches, "PER_PHOTO", {"train": 500, "test": 500})
    train, test = load("photo_patches", "train").images, load("photo_patches", "test").images
    assert columns(train).max() < 0.6 * 600 <= columns(test).min()
    # Patches reach every part of their side.
    assert columns(train).min() == 0
    assert columns(train).max() == 359
    assert columns(test).max() == 599


def test_label_is_the_photo_that_the_patch_was_cut_from(numbered_photos):
    images, labels, names = load("photo_patches", "test")
    assert names == ("first", "second")
    assert images.shape == (120, 32, 32, 3)
    assert (images[..., 2] == labels[:, None, None] + 1).all()
    np.testing.assert_array_equal(np.diff(columns(images), axis=2), 1)


def test_photos_are_scaled_to_a_short_side_of_256(monkeypatch):
    monkeypatch.setattr(photo_patches, "PHOTOS", {"tall": lambda: np.zeros((1024, 512), np.uint8)})
    assert photo_patches._scaled(photo_patches.PHOTOS["tall"]()).shape == (512, 256, 3)


def test_an_unknown_split_is_named():
    with pytest.raises(InputError, match="split must be one of train, test; got 'dev'"):
        load("photo_patches", "dev")
