"""Folders of images: labeled or not, of one size or many, whole or damaged."""

import numpy as np
import pytest
from helpers import write_image
from PIL import Image

from keras_simsiam import InputError, load
from keras_simsiam.data import ImageFiles
from keras_simsiam.errors import NoSuchSplit


def class_folders(root, size=lambda i: (20, 16), suffix="png"):
    for split, count in (("train", 6), ("val", 3)):
        for label, name in enumerate(("dog", "cat")):
            for i in range(count):
                write_image(
                    root / split / name / f"{i}.{suffix}",
                    100 * label + i + (50 if split == "val" else 0),
                    size(i),
                )
    return f"folder:{root}"


def test_class_folders_of_one_size_are_labeled_arrays(tmp_path):
    name = class_folders(tmp_path)
    train, test = load(name, "train"), load(name, "validation")
    assert train.images.shape == (12, 16, 20, 3)
    assert train.class_names == test.class_names == ("cat", "dog")
    assert train.labels.tolist() == [0] * 6 + [1] * 6
    assert test.labels.tolist() == [0] * 3 + [1] * 3
    expected = np.asarray(Image.open(tmp_path / "val/dog/2.png"))
    np.testing.assert_array_equal(test.images[5], expected)


def test_images_of_many_sizes_stay_files(tmp_path):
    name = class_folders(tmp_path, size=lambda i: (20 + i, 16 + 2 * i), suffix="jpg")
    train = load(name, "train")
    assert isinstance(train.images, ImageFiles)
    assert train.labels.tolist() == [0] * 6 + [1] * 6
    shapes = [image.shape for image in train.images.dataset().as_numpy_iterator()]
    assert shapes == [(16 + 2 * i, 20 + i, 3) for i in range(6)] * 2


def test_nested_folder_without_classes_is_unlabeled(tmp_path):
    for i, place in enumerate(("a.png", "deep/b.PNG", "deep/er/c.jpeg", "._a.png", "notes.txt")):
        if place in ("notes.txt", "._a.png"):
            (tmp_path / place).write_text("not an image")
        else:
            write_image(tmp_path / place, i)
    train = load(f"folder:{tmp_path}", "train")
    assert train.images.shape == (3, 64, 64, 3)
    assert train.labels is None
    message = "a folder named val or validation or test to have a validation split"
    with pytest.raises(NoSuchSplit, match=message):
        load(f"folder:{tmp_path}", "validation")


def test_train_folder_without_class_folders_is_unlabeled(tmp_path):
    for i in range(3):
        write_image(tmp_path / "train" / f"{i}.png", i)
    train = load(f"folder:{tmp_path}", "train")
    assert len(train.images) == 3
    assert train.labels is None


def test_a_class_without_training_images_is_named(tmp_path):
    name = class_folders(tmp_path)
    write_image(tmp_path / "val/cow/0.png", 0)
    with pytest.raises(InputError, match=r"must have the classes of .*; got class 'cow'"):
        load(name, "validation")


@pytest.mark.parametrize("case", ["missing", "empty", "only text", "no train folder", "a split"])
def test_folders_without_images_are_refused_by_name(case, tmp_path):
    root, split, named = tmp_path / "images", "train", "images"
    if case != "missing":
        root.mkdir()
    if case == "only text":
        (root / "a.txt").write_text("not an image")
        named = "must contain images"
    if case == "no train folder":
        write_image(root / "val/cat/0.png", 0)
        named = "a folder named train"
    if case == "a split":
        split, named = "dev", "split must be one of train, validation; got 'dev'"
    with pytest.raises(InputError, match=named):
        load(f"folder:{root}", split)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
@pytest.mark.parametrize("sizes", ["one size", "many sizes"])
def test_a_damaged_file_is_named_and_left_out(suffix, damage, sizes, tmp_path):
    for i in range(101):
        write_image(tmp_path / f"{i:03}.{suffix}", i, (40, 30 + i % 2 * (sizes != "one size")))
    bad = tmp_path / f"050.{suffix}"
    whole = bad.read_bytes()
    bad.write_bytes({"truncated": whole[: len(whole) * 2 // 3], "text": b"x" * 99}.get(damage, b""))
    with pytest.warns(UserWarning, match=rf"1 of 101 images cannot be read: .*050\.{suffix} \("):
        train = load(f"folder:{tmp_path}", "train")
    assert len(train.images) == 100


def test_more_than_one_percent_of_damaged_files_are_refused(tmp_path):
    for i in range(20):
        write_image(tmp_path / f"{i:02}.png", i)
    (tmp_path / "07.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"1 of 20 images cannot be read: .*07\.png.* At most 1%"):
        load(f"folder:{tmp_path}", "train")
