"""The interface of images, the same in memory, in files and in records."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import write_image
from PIL import Image

from keras_simsiam import InputError
from keras_simsiam.data import ImageArray, ImageFiles, ImageRecords, as_images
from keras_simsiam.data.images import square
from keras_simsiam.data.record_index import find

COUNT = 40


@pytest.fixture(scope="module")
def squares():
    """Smooth images of 12×12 pixels."""
    coarse = np.random.RandomState(0).randint(0, 256, (COUNT, 3, 3, 3), np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(c).resize((12, 12), Image.Resampling.BICUBIC)) for c in coarse]
    )


@pytest.fixture(scope="module", params=["array", "files", "records"])
def images(request, squares, tmp_path_factory):
    """The same images in each of the three ways."""
    if request.param == "array":
        return as_images(squares)
    root = tmp_path_factory.mktemp(request.param)
    encoded = [tf.io.encode_png(image) for image in squares]
    if request.param == "files":
        paths = [str(root / f"{i:02}.png") for i in range(COUNT)]
        for path, contents in zip(paths, encoded, strict=True):
            tf.io.write_file(path, contents)
        return as_images(ImageFiles(paths))
    files = [str(root / f"{i}.tfrecord") for i in range(2)]
    for i, file in enumerate(files):
        with tf.io.TFRecordWriter(file) as writer:
            for contents in encoded[i * COUNT // 2 : (i + 1) * COUNT // 2]:
                writer.write(contents.numpy())
    shards = find(files, [COUNT // 2] * 2, False, ()).shards
    return as_images(ImageRecords(shards, lambda record: tf.io.decode_png(record, 3)))


def whole(images, size, **options):
    return np.concatenate([batch.numpy() for batch in images.resized(size, **options)])


def test_whole_gives_each_image_once_and_in_order(images, squares):
    batches = [batch.numpy() for batch in images.resized(12, batch_size=32)]
    assert [len(batch) for batch in batches] == [32, 8]
    np.testing.assert_array_equal(np.concatenate(batches), squares)


def test_whole_images_are_resized_in_the_same_way(images, squares):
    found = whole(images, 6)
    assert found.dtype == np.uint8
    assert found.shape == (COUNT, 6, 6, 3)
    np.testing.assert_array_equal(found, whole(as_images(squares), 6))


def test_whole_images_are_traced_once_however_often_they_are_read(tmp_path, monkeypatch):
    write_image(tmp_path / "0.png", 0, (20, 18))
    files, traced = ImageFiles([str(tmp_path / "0.png")]), []

    def counted(image, size):
        traced.append(size)
        return square(image, size)

    monkeypatch.setattr("keras_simsiam.data.separate.square", counted)
    first, again = whole(files, 12), whole(files, 12)
    np.testing.assert_array_equal(first, again)
    assert traced == [12]
    assert whole(files, 6).shape == (1, 6, 6, 3)


def test_files_of_many_sizes_become_squares(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(9)]
    for i, path in enumerate(paths):
        write_image(path, i, (20 + i, 18 + i % 5))
    found = whole(ImageFiles([str(path) for path in paths]), 12, batch_size=4)
    assert found.shape == (9, 12, 12, 3)
    means = [np.asarray(Image.open(path)).mean() for path in paths]
    assert np.corrcoef(means, found.mean(axis=(1, 2, 3)))[0, 1] > 0.95


def test_dataset_gives_each_image_in_order(images, squares):
    np.testing.assert_array_equal(np.stack([*images.dataset().as_numpy_iterator()]), squares)


def test_a_sample_is_spread_over_all_images(images, squares):
    assert len(images) == COUNT
    np.testing.assert_array_equal(whole(images.sample(10), 12), squares[::4])
    assert len(images.sample(10)) == 10
    assert len(images.sample(1000)) == COUNT
    np.testing.assert_array_equal(whole(images.every(7), 12), squares[::7])
    assert len(images.every(7)) == len(squares[::7])


def test_picked_images_come_in_the_given_order(images, squares):
    positions = np.array([5, 0, 39, 5, 2])
    np.testing.assert_array_equal(images.pick(positions, 12), squares[positions])
    np.testing.assert_array_equal(images.pick(positions, 6), whole(images, 6)[positions])


def test_side_is_that_of_images_of_one_size(images):
    in_memory = isinstance(images, ImageArray)
    assert images.side() == (12 if in_memory else 224)
    assert images.side(default=256) == (12 if in_memory else 256)
    assert as_images(np.zeros((2, 8, 6, 3), np.uint8)).side() == 6
    assert as_images(np.zeros((2, 256, 300, 3), np.uint8)).side() == 256
    assert as_images(np.zeros((2, 720, 1280, 3), np.uint8)).side() == 224  # photos


def test_images_are_images_already(images):
    assert as_images(images) is images


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (np.zeros((8, 32, 32, 3), np.float32), r"float32 \[8, 32, 32, 3\]"),
        (np.zeros((4, 8, 8), np.uint8), r"uint8 \[4, 8, 8\]"),
        (np.zeros((4, 8, 8, 1), np.uint8), r"uint8 \[4, 8, 8, 1\]"),
        ("abc", "str"),
        ([1, 2], "list"),
    ],
)
def test_anything_else_is_refused(images, received):
    with pytest.raises(InputError, match=rf"images must be uint8 \[N, H, W, 3\]; got {received}"):
        as_images(images)
