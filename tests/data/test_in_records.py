"""Images in record files: found in any order, those that are damaged left out."""

import collections
import os

import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam import Augmentation, InputError, views
from keras_simsiam.data import ImageArray, ImageRecords, index, record_index
from keras_simsiam.data.shards import Shards, starts

COUNT, FILES = 300, 3
EACH = COUNT // FILES
SIDE = 8
KEYS = ("label", "file_name")
LIGHT = Augmentation(jitter_probability=0, blur_probability=0, grayscale_probability=0)


@pytest.fixture(scope="module")
def pixels():
    return np.random.RandomState(0).randint(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)


def write(path, images, first):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i, image in enumerate(images, start=first):
            encoded = tf.io.encode_png(image).numpy()
            features = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[i % 7])),
                "file_name": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"%d" % i])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


@pytest.fixture
def files(pixels, tmp_path, monkeypatch):
    """Three files, of which an index is kept."""
    monkeypatch.setattr(index, "LEAST_FILES", 1)
    monkeypatch.setenv("KERAS_SIMSIAM_CACHE", str(tmp_path / "cache"))
    found = [tmp_path / f"{k}.tfrecord" for k in range(FILES)]
    for k, file in enumerate(found):
        write(file, pixels[k * EACH : (k + 1) * EACH], k * EACH)
    return [*map(str, found)]


@pytest.fixture
def read(monkeypatch):
    """How many records are read for the index, each time that some are."""
    counts, before = [], record_index.readable

    def noting(names, *args):
        counts.append(len(names))
        return before(names, *args)

    monkeypatch.setattr(record_index, "readable", noting)
    return counts


def find(files):
    return record_index.find(files, [EACH] * FILES, False, KEYS)


def decode(record):
    parsed = tf.io.parse_single_example(record, {"image": tf.io.FixedLenFeature([], tf.string)})
    return tf.io.decode_png(parsed["image"], 3)


def images_of(files):
    found = find(files)
    return ImageRecords(found.shards, decode, found.unreadable)


def flip(file, at):
    """Flips a bit."""
    with open(file, "r+b") as opened:
        opened.seek(at)
        (byte,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte ^ 4]))


def test_records_are_found_with_labels_and_names(files):
    found = find(files)
    assert len(found.shards) == COUNT
    np.testing.assert_array_equal(found.numbers[:, 0], np.arange(COUNT) % 7)
    assert found.names == [str(i) for i in range(COUNT)]
    sequential = [start for file in files for start in starts(file, EACH)[0]]
    np.testing.assert_array_equal(found.shards.places[:, 1], sequential)


def test_views_are_those_of_the_same_images_in_memory(files, pixels):
    options = {"batch_size": 20, "seed": 3, "image_size": SIDE}
    for start_step in (0, 14, 5_000_003):
        expected, found = (
            next(iter(views(images, LIGHT, start_step=start_step, **options)))
            for images in (ImageArray(pixels), images_of(files))
        )
        for x, y in zip(expected, found, strict=True):
            # The crop of a record is rounded to uint8: half a level, divided by the smallest std.
            assert np.abs(x - y).max() < 0.6 / 255 / 0.224


@pytest.mark.parametrize("parts", [2, 4])
def test_workers_read_their_own_records_only_and_each_record_once_an_epoch(files, parts):
    images, size = images_of(files), 20
    read = collections.Counter()
    for part in range(parts):
        made = views(images, LIGHT, size, 1, SIDE, part=(part, parts), numbered=True)
        mine = [e for batch in made.take(COUNT // size) for e in batch["examples"].numpy()]
        assert len(mine) == COUNT // parts
        read.update(mine)
    assert read == collections.Counter(range(COUNT))


def test_a_worker_opens_the_files_at_its_records_only(files, monkeypatch):
    images, places = images_of(files), []

    def noting(place):
        tf.numpy_function(lambda p: places.append(tuple(p)), [place], [])
        return Shards.record(images.shards, place)

    monkeypatch.setattr(images.shards, "record", noting)
    batches = views(images, LIGHT, 20, 1, SIDE, part=(1, 2), numbered=True).take(2)
    examples = [e for batch in batches for e in batch["examples"].numpy()]
    # Some records ahead may have been read already.
    assert {tuple(images.shards.places[e]) for e in examples} <= {*places}


def test_files_are_read_once_and_again_where_they_have_changed(files, read, pixels):
    first = find(files)
    assert read == [COUNT]
    again = find(files)
    assert read == [COUNT]
    np.testing.assert_array_equal(again.shards.places, first.shards.places)
    np.testing.assert_array_equal(again.numbers, first.numbers)
    assert again.names == first.names
    write(files[1], pixels[:EACH], 1)
    assert find(files).names[EACH] == "1"
    assert read == [COUNT, EACH]
    record_index.find(files, [EACH] * FILES, False, ("label",))  # something else is sought
    assert read == [COUNT, EACH, COUNT]


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_an_index_that_does_not_fit_is_thrown_away(damage, files, read):
    find(files)
    place = index.place(files[0])
    whole = place.read_bytes()
    place.write_bytes({"cut": whole[:-50], "empty": b"", "text": b"x" * 99}[damage])
    assert find(files).names == [str(i) for i in range(COUNT)]
    assert read == [COUNT, EACH]


@pytest.mark.parametrize("damage", ["data", "last record", "length"])
def test_what_is_damaged_is_named_and_the_others_are_read(damage, files):
    last = starts(files[1], EACH)[0][-1]
    if damage == "data":
        flip(files[1], starts(files[1], EACH)[0][40] + 50)
        lost, named = EACH + 40, f"{files[1]}, byte"
    elif damage == "last record":
        os.truncate(files[1], os.path.getsize(files[1]) - 3)
        lost, named = 2 * EACH - 1, f"{files[1]}, record 99 .the file is cut off"
    else:
        flip(files[1], last)
        lost, named = 2 * EACH - 1, f"{files[1]}, record 99 .a damaged length"
    for _ in range(2):  # said at each start
        with pytest.warns(UserWarning, match=f"1 of 300 images cannot be read: {named}"):
            found = find(files)
        assert found.names == [str(i) for i in range(COUNT) if i != lost]
        assert found.numbers[:, 0].tolist() == [i % 7 for i in range(COUNT) if i != lost]


def test_more_than_one_percent_is_an_error_that_names_the_file(files):
    os.truncate(files[1], starts(files[1], EACH)[0][50] + 5)
    with pytest.raises(InputError, match=f"50 of 300 images cannot be read: {files[1]}, record 50"):
        find(files)


def test_a_record_that_is_damaged_later_is_replaced_and_named(files):
    images = images_of(files)
    flip(files[0], images.shards.places[7, 1] + 60)
    made = views(images, LIGHT, 30, 1, SIDE, numbered=True).take(COUNT // 30)
    with pytest.warns(UserWarning, match=f"1 of 300 images cannot be read: {files[0]}, byte"):
        read = [e for batch in made for e in batch["examples"].numpy()]
    assert {*range(COUNT)} - {*read} == {7}
    with pytest.warns(UserWarning, match="1 of 300"):
        black = images_of(files).every(1).pick(np.array([6]), SIDE)
    assert black.any()
