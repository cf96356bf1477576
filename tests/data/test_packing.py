"""A folder that is packed gives the same images, whatever happened while it was packed."""

import errno
import json
import os

import numpy as np
import pytest
import tifffile
from helpers import write_image
from PIL import Image

from keras_simsiam import InputError, Pixels, load, pack
from keras_simsiam.collection import find_source
from keras_simsiam.data import ImageRecords, packing
from keras_simsiam.data.packing import Packing
from keras_simsiam.errors import CannotWrite, Terminated
from keras_simsiam.files import LOCK

COUNT = 10
HOW = Packing(shard_size=4)


@pytest.fixture
def folder(tmp_path):
    """Ten training images of many sizes, JPEG and PNG, and three others of one class."""
    for i in range(COUNT):
        ending = "jpg" if i % 3 else "png"
        write_image(tmp_path / f"in/train/{'ab'[i % 2]}/{i:02}.{ending}", i, (20 + i, 18))
    for i in range(3):
        write_image(tmp_path / f"in/val/b/{i}.jpg", 50 + i, (20 + i, 30))
    return f"folder:{tmp_path}/in"


def packed(folder, out, how=HOW):
    return packing.pack(folder, str(out), how)


def files_in(folder):
    return sorted(name for name in os.listdir(folder) if name != LOCK)


def assert_same(expected, found):
    assert found.class_names == expected.class_names
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert len(found.images) == len(expected.images)
    for x, y in zip(expected.images.dataset(), found.images.dataset(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_images_labels_and_names_of_both_splits_are_those_of_the_folder(folder, tmp_path):
    assert packed(folder, tmp_path / "out") == {"train": COUNT, "validation": 3}
    for split in ("train", "validation"):
        found = load(f"records:{tmp_path}/out", split)
        assert isinstance(found.images, ImageRecords)
        assert_same(load(folder, split), found)
    paths = load(folder).paths
    source = find_source(f"records:{tmp_path}/out")
    assert source.names == [p.removeprefix(f"{tmp_path}/in/") for p in paths]
    assert source.labels == ["a"] * 5 + ["b"] * 5
    np.testing.assert_array_equal(source.only(source.names[3:1:-1]).original(0), source.original(3))
    assert files_in(tmp_path / "out") == [
        "records.json",
        *(f"train-{i:05}-of-00003.tfrecord" for i in range(3)),
        "validation-00000-of-00001.tfrecord",
    ]


def test_images_of_one_size_are_held_in_memory_as_those_of_the_folder_are(tmp_path):
    for i in range(6):
        write_image(tmp_path / f"in/{i}.png", i, (9, 8))
    packed(f"folder:{tmp_path}/in", tmp_path / "out")
    expected, found = load(f"folder:{tmp_path}/in"), load(f"records:{tmp_path}/out")
    np.testing.assert_array_equal(found.images, expected.images)
    assert found.labels is None
    with pytest.raises(InputError, match="has no validation split; it has train"):
        load(f"records:{tmp_path}/out", "validation")


def test_larger_images_are_shrunk_and_smaller_ones_kept(tmp_path):
    write_image(tmp_path / "in/large.jpg", 0, (90, 60))
    write_image(tmp_path / "in/small.png", 1, (25, 30))
    packed(f"folder:{tmp_path}/in", tmp_path / "out", Packing(image_size=30))
    large, small = load(f"records:{tmp_path}/out").images.dataset().as_numpy_iterator()
    np.testing.assert_array_equal(small, np.asarray(Image.open(tmp_path / "in/small.png")))
    with Image.open(tmp_path / "in/large.jpg") as image:
        expected = np.asarray(image.resize((45, 30), Image.Resampling.BILINEAR), np.float32)
    assert large.shape == (30, 45, 3)
    assert np.abs(large - expected).mean() < 4


def test_what_was_interrupted_goes_on_and_becomes_the_same(folder, tmp_path, monkeypatch):
    packed(folder, tmp_path / "whole")
    before, written = packing._example, []

    def interrupted(*args):
        if len(written) == 6:
            raise KeyboardInterrupt
        written.append(args)
        return before(*args)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "_example", interrupted)
        with pytest.raises(Terminated, match="the same command goes on"):
            packed(folder, tmp_path / "out")
    with pytest.raises(InputError, match="not been packed to the end; the same command of pack"):
        load(f"records:{tmp_path}/out")
    written.clear()
    monkeypatch.setattr(packing, "_example", lambda *args: written.append(args) or before(*args))
    packed(folder, tmp_path / "out")
    assert len(written) == COUNT - 4 + 3  # the first file was finished
    for name in files_in(tmp_path / "whole"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_full_disk_is_said_and_loses_nothing_that_is_finished(folder, tmp_path, monkeypatch):
    before = packing._example
    count = iter(range(99))

    def full(*args):
        if next(count) == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return before(*args)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "_example", full)
        with pytest.raises(CannotWrite, match="No space left on device; make room, and the same"):
            packed(folder, tmp_path / "out")
    assert files_in(tmp_path / "out") == [
        "records.json",
        "train-00000-of-00003.tfrecord",
    ]
    packed(folder, tmp_path / "out")
    assert_same(load(folder), load(f"records:{tmp_path}/out"))


def test_an_output_of_other_images_settings_or_files_is_refused(folder, tmp_path):
    packed(folder, tmp_path / "out")
    about = (tmp_path / "out/records.json").read_bytes()
    with pytest.raises(InputError, match="other images or settings: its settings are"):
        packed(folder, tmp_path / "out", Packing(image_size=16, shard_size=4))
    write_image(tmp_path / "in/train/a/new.jpg", 77)
    with pytest.raises(InputError, match="its fingerprints are"):
        packed(folder, tmp_path / "out")
    assert (tmp_path / "out/records.json").read_bytes() == about
    with pytest.raises(InputError, match="must be empty or from an earlier pack; it has"):
        packed(folder, tmp_path / "in")
    with pytest.raises(InputError, match="dataset must be folder:PATH, to be packed"):
        packed("photo_patches", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_damaged_file_is_named(folder, tmp_path):
    packed(folder, tmp_path / "out")
    file = tmp_path / "out/train-00001-of-00003.tfrecord"
    contents = bytearray(file.read_bytes())
    contents[200] ^= 1
    file.write_bytes(contents)
    with pytest.raises(InputError, match=f"1 of 10 images cannot be read: {file}, byte 0"):
        load(f"records:{tmp_path}/out")


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_folder_that_was_not_packed_is_refused(text, tmp_path):
    with pytest.raises(InputError, match=r"it has no records\.json"):
        load(f"records:{tmp_path}")
    (tmp_path / "records.json").write_text(text)
    with pytest.raises(InputError):
        load(f"records:{tmp_path}")


def test_the_command_says_what_it_wrote_and_what_to_do_next(folder, tmp_path, capsys):
    assert pack.main([folder, str(tmp_path / "out"), "--shard-size", "5"]) == 0
    said = capsys.readouterr().out
    assert f"10 train, 3 validation images in {tmp_path}/out" in said
    assert f"--dataset records:{tmp_path}/out" in said
    assert json.loads((tmp_path / "out/records.json").read_text())["images"]["train"] == [5, 5]


@pytest.mark.slow
def test_tiff_files_of_many_channels_and_16_bits_are_read_as_from_the_folder(tmp_path):
    random = np.random.RandomState(0)
    for i in range(6):
        split, name = ("train", "val")[i > 3], "ab"[i % 2]
        pixels = random.randint(0, 3000 + 500 * i, (12, 10 + i % 2, 4)).astype(np.uint16)
        path = tmp_path / f"in/{split}/{name}/{i}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig")
    folder = f"folder:{tmp_path}/in"
    out = tmp_path / "out"
    with pytest.raises(InputError, match="image_size must not be given for files of more than 8"):
        packing.pack(folder, str(out), Packing(image_size=8), channels=4)
    packing.pack(folder, str(out), HOW, channels=4)
    asked = Pixels.of(4, (100, 900))
    for split in ("train", "validation"):
        found = load(f"records:{out}", split)
        expected = load(folder, split, pixels=Pixels(4))
        assert found.pixels == expected.pixels
        assert found.pixels.high
        assert_same(expected, found)
        assert_same(load(folder, split, pixels=asked), load(f"records:{out}", split, pixels=asked))
    assert find_source(f"records:{out}").images.channels == 4
    with pytest.raises(InputError, match="packed with 4 channels, and cannot be read with 2"):
        load(f"records:{out}", pixels=Pixels(2))
