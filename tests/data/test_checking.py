"""Checking the files of a folder: what is found, and what is kept for the next time."""

import os
import random
import warnings

import numpy as np
import pytest
import tensorflow as tf
from helpers import write_image
from PIL import Image

from keras_simsiam import load
from keras_simsiam.data import ImageFiles, checking, index
from keras_simsiam.data.decoding import decode, examine

COUNT = 12


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """JPEG files of two sizes in two folders, of which an index is kept in tmp_path/cache."""
    monkeypatch.setattr(index, "LEAST_FILES", 1)
    monkeypatch.setenv("KERAS_SIMSIAM_CACHE", str(tmp_path / "cache"))
    for i in range(COUNT):
        write_image(tmp_path / f"images/{'ab'[i % 2]}/{i:02}.jpg", i, (20 + i % 3, 18))
    return tmp_path / "images"


@pytest.fixture
def read(monkeypatch):
    """Names of the files that are read, in the order in which they were."""
    names, before = [], checking._read

    def noting(files, *args):
        names.extend(os.path.basename(file) for file in files)
        return before(files, *args)

    monkeypatch.setattr(checking, "_read", noting)
    return names


def loaded(folder, check_files="full"):
    return load(f"folder:{folder}", check_files=check_files)


def test_what_has_not_changed_is_not_read_again(folder, read):
    first = loaded(folder)
    assert len(read) == COUNT
    read.clear()
    assert loaded(folder).paths == first.paths
    assert not read
    write_image(folder / "a/04.jpg", 99, (21, 18))  # another picture
    write_image(folder / "b/new.jpg", 100, (20, 18))
    (folder / "b/01.jpg").unlink()
    (folder / "a/02.jpg").rename(folder / "a/other.jpg")
    assert len(loaded(folder).paths) == COUNT
    assert read == ["04.jpg", "other.jpg", "new.jpg"]


def test_a_change_that_keeps_size_and_time_is_found(folder, read):
    loaded(folder)
    read.clear()
    file = folder / "a/00.jpg"
    before = file.stat()
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ValueError, match=r"1 of 12 images cannot be read: .*00.jpg"):
        loaded(folder)
    assert read == ["00.jpg"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "other folder", "text", "empty", "columns"])
def test_an_index_that_does_not_fit_is_thrown_away(damage, folder, read, tmp_path):
    expected = loaded(folder).paths
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    if damage == "flipped":
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    elif damage in ("other folder", "columns"):
        with np.load(path) as kept:
            parts = dict(kept)
        parts |= (
            {"about": parts["about"][:-1]}
            if damage == "other folder"
            else {"values": parts["values"][:, :2]}
        )
        np.savez(path, **parts)
    else:
        path.write_bytes({"cut": whole[:-100], "text": b"x" * 99}.get(damage, b""))
    read.clear()
    assert loaded(folder).paths == expected
    assert len(read) == COUNT
    read.clear()
    loaded(folder)
    assert not read  # it has been replaced


def test_a_cache_that_cannot_be_written_is_no_error(folder, read, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_SIMSIAM_CACHE", str(tmp_path / "file/cache"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(loaded(folder).paths) == len(loaded(folder).paths) == COUNT
    assert len(read) == 2 * COUNT

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("KERAS_SIMSIAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(np, "savez", full)
    assert len(loaded(folder).paths) == COUNT
    assert not [*(tmp_path / "cache").glob("*")] if (tmp_path / "cache").exists() else True


def test_what_an_interrupted_check_has_found_is_kept(folder, read, monkeypatch):
    monkeypatch.setattr(checking, "_TOGETHER", 4)

    def interrupted(total):
        def say(done):
            if done > 4:
                raise KeyboardInterrupt

        return say

    with monkeypatch.context() as patch:
        patch.setattr(checking, "progress", interrupted)
        with pytest.raises(KeyboardInterrupt):
            loaded(folder)
    read.clear()
    assert len(loaded(folder).paths) == COUNT
    assert len(read) == COUNT - 8


def test_a_check_of_headers_or_none_leaves_damage_to_the_training(folder, read):
    file = folder / "b/07.jpg"
    file.write_bytes(file.read_bytes()[:-20])
    for how in ("header", "none"):
        images = loaded(folder, how).images
        assert isinstance(images, ImageFiles)
        assert len(images) == COUNT
    assert len(read) == COUNT  # by the first
    with pytest.raises(ValueError, match=r"1 of 12 images cannot be read: .*07.jpg"):
        loaded(folder)
    assert len(read) == 2 * COUNT
    file.write_bytes(b"text")
    with pytest.raises(ValueError, match=r"1 of 12 images cannot be read: .*07.jpg"):
        loaded(folder, "header")
    assert read[2 * COUNT :] == ["07.jpg"]  # the others have been read in full


def test_examining_fails_where_decoding_fails_and_finds_its_size(tmp_path):
    chance = random.Random(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = [{}, {"progressive": True}, {"exif": exif}, {"mode": "L"}, {"subsampling": 0}]
    wholes = []
    for i, options in enumerate(kinds):
        write_image(tmp_path / f"{i}.jpg", i, (48 + i, 33), **options)
        wholes.append((tmp_path / f"{i}.jpg").read_bytes())
    failed = 0
    for i in range(400):
        contents = bytearray(wholes[i % len(wholes)])
        for _ in range(chance.choice((0, 1, 2, 5))):
            at = chance.randrange(chance.choice((200, len(contents))))
            contents[at] = chance.choice((0, 127, 255, chance.randrange(256)))
        if i % 5 == 0:
            del contents[chance.randrange(100, len(contents)) :]
        found = outcome(lambda c: decode(c).shape[:2], bytes(contents))
        assert outcome(lambda c: examine(c).numpy()[:2], bytes(contents)) == found
        failed += found is None
    assert 80 < failed < 320


def outcome(function, contents):
    try:
        return tuple(map(int, function(contents)))
    except tf.errors.OpError:
        return None
