"""Folders of images: labeled or not, of one size or many, whole or damaged."""

import os
import shutil
import unicodedata
import warnings

import numpy as np
import pytest
from helpers import write_image
from PIL import Image

from keras_simsiam import InputError, environment, load
from keras_simsiam.data import ImageFiles, as_images, folder, scan
from keras_simsiam.data.images import square
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
    message = "a folder named val or valid or validation or test or testing to have a validation"
    with pytest.raises(NoSuchSplit, match=message):
        load(f"folder:{tmp_path}", "validation")


def test_train_folder_without_class_folders_is_unlabeled(tmp_path):
    for i in range(3):
        write_image(tmp_path / "train" / f"{i}.png", i)
    train = load(f"folder:{tmp_path}", "train")
    assert len(train.images) == 3
    assert train.labels is None


def test_test_images_of_a_class_without_training_images_are_left_out_and_counted(tmp_path):
    name = class_folders(tmp_path)
    for i in range(2):
        write_image(tmp_path / f"val/cow/{i}.png", i)
    assert load(name, "train").class_names == ("cat", "dog")
    with pytest.warns(UserWarning, match=r"left out 2 of classes without training images \(cow\)"):
        test = load(name, "validation")
    assert test.labels.tolist() == [0] * 3 + [1] * 3
    assert test.left_out == "2 of classes without training images (cow)"
    for split in ("cat", "dog"):
        shutil.rmtree(tmp_path / "val" / split)
    with (
        pytest.warns(UserWarning, match="left out 2 of classes"),
        pytest.raises(NoSuchSplit, match=r"val' must have images of the classes of '.*train'"),
    ):
        load(name, "validation")  # which pre-training does without


def test_an_image_beside_the_class_folders_is_named_and_left_out(tmp_path):
    name = class_folders(tmp_path)
    write_image(tmp_path / "train/overview.png", 0)
    with pytest.warns(UserWarning, match=r"left out 1 beside the class folders \(overview\.png\)"):
        train = load(name, "train")
    assert train.images.shape == (12, 16, 20, 3)
    assert train.labels.tolist() == [0] * 6 + [1] * 6
    assert [str(tmp_path / p) for p in ("train/cat/0.png", "train/dog/5.png")] == [
        train.paths[0],
        train.paths[-1],
    ]


def test_where_half_of_the_images_lie_beside_class_folders_there_are_no_labels(tmp_path):
    for i in range(6):
        write_image(tmp_path / "train" / f"{'cat/' if i < 3 else ''}{i}.png", i)
    with pytest.warns(UserWarning, match=r"no labels, because 3 of its 6 images .* such as 3\.png"):
        train = load(f"folder:{tmp_path}", "train")
    assert len(train.images) == 6
    assert train.labels is None


def test_split_folders_are_known_by_their_usual_names_in_any_case(tmp_path):
    for train in ("Train", "TRAIN", "training"):
        for test in ("VAL", "valid", "Validation", "Test", "testing"):
            root = tmp_path / train / test
            (root / train).mkdir(parents=True)
            (root / test).mkdir()
            found = folder.split_folders(str(root))
            assert found == {"train": str(root / train), "validation": str(root / test)}


def test_of_two_folders_for_one_split_val_precedes_test_and_those_of_one_name_are_refused(tmp_path):
    name = class_folders(tmp_path)
    write_image(tmp_path / "test/cat/0.png", 0)
    assert len(load(name, "validation").images) == 6
    write_image(tmp_path / "VAL/cat/0.png", 0)
    with pytest.raises(InputError, match="one folder for its validation images; it has 'VAL' and"):
        load(name, "validation")


def test_hidden_folders_hold_no_images_and_are_no_classes(tmp_path):
    name = class_folders(tmp_path)
    for where in ("train", "train/cat", "val", "val/dog", "."):
        for hidden in (".ipynb_checkpoints", "__MACOSX", ".cache", "@eaDir"):
            write_image(tmp_path / where / hidden / "cat/0-checkpoint.png", 0)
        (tmp_path / where / "Thumbs.db").write_bytes(b"previews")
        (tmp_path / where / "._0.png").write_bytes(b"of macOS")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train, test = load(name, "train"), load(name, "validation")
    assert train.class_names == test.class_names == ("cat", "dog")
    assert (len(train.images), len(test.images)) == (12, 6)


def test_links_are_followed_and_loops_of_links_end(tmp_path):
    name = class_folders(tmp_path / "images")
    train = tmp_path / "images/train"
    (train / "cat").rename(tmp_path / "cats")
    (train / "cat").symlink_to(tmp_path / "cats")
    write_image(tmp_path / "elsewhere/one.png", 7)
    (train / "dog/more").symlink_to("../../../elsewhere")
    (train / "cat/linked.png").symlink_to(tmp_path / "elsewhere/one.png")
    for loop, target in (
        (train / "dog/loop", ".."),
        (train / "loop", "."),
        (tmp_path / "cats/up", tmp_path),
        (tmp_path / "elsewhere/back", "."),
    ):
        loop.symlink_to(target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = scan.images(str(train), scan.LeftOut())
        assert scan.subfolders(str(train)).keys() == {"cat", "dog"}
    in_cat = [f"cat/{i}.png" for i in range(6)] + ["cat/linked.png"]
    in_dog = [f"dog/{i}.png" for i in range(6)] + ["dog/more/one.png"]
    assert found == [str(train / file) for file in in_cat + in_dog]
    assert name


def test_what_is_left_out_is_counted_with_the_reason(tmp_path):
    name = class_folders(tmp_path)
    for place in ("cat/0.avif", "cat/1.AVIF", "dog/a.heic", "dog/notes.txt"):
        (tmp_path / "train" / place).write_bytes(b"anything")
    (tmp_path / "train/bird").mkdir()
    (tmp_path / "train/dog/gone.png").symlink_to("nowhere.png")
    (tmp_path / "train/dog/gone").symlink_to("nowhere")
    (tmp_path / "train/dog/self.png").symlink_to("self.png")
    os.mkfifo(tmp_path / "train/dog/pipe.png")
    with pytest.warns(UserWarning, match="left out"):
        train = load(name, "train")
    assert train.left_out == (
        "2 .avif (cat/0.avif, cat/1.AVIF), 1 .heic (dog/a.heic), "
        "3 broken links (dog/gone, dog/gone.png, dog/self.png), 1 not a file (dog/pipe.png), "
        "1 empty class folder (bird)"
    )
    assert train.class_names == ("bird", "cat", "dog")
    assert len(train.images) == len(train.paths) == 12


def test_a_folder_that_cannot_be_read_is_counted_and_the_top_one_refused(tmp_path, monkeypatch):
    name, listed = class_folders(tmp_path), scan._listed

    def failing(folder):
        if folder.endswith(closed):
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(scan, "_listed", failing)
    closed = "train/cat"
    (tmp_path / closed).chmod(0o750)
    left_out = r"left out 1 unreadable folder \(cat, mode drwxr-x---\)"
    with pytest.warns(UserWarning, match=left_out):
        assert load(name, "train").labels.tolist() == [1] * 6
    closed = "train"
    with pytest.raises(InputError, match="train' cannot be read: Permission denied, mode d"):
        load(name, "train")


def test_files_that_vanish_after_the_scan_are_counted(tmp_path, monkeypatch):
    for i in range(101):
        write_image(tmp_path / f"{i:03}.png", i)
    found = scan.images

    def vanishing(*arguments):
        files = found(*arguments)
        os.unlink(files[7])
        return files

    monkeypatch.setattr(scan, "images", vanishing)
    with pytest.warns(UserWarning, match=r"1 of 101 images cannot be read: .*007\.png \("):
        train = load(f"folder:{tmp_path}", "train")
    assert len(train.images) == 100
    assert train.left_out == "1 unreadable (007.png)"
    shown = np.asarray(Image.open(train.paths[7]))
    np.testing.assert_array_equal(train.images[7], shown)  # the names have not shifted


def test_a_folder_of_other_pictures_only_is_refused_with_their_number(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.avif").write_bytes(b"anything")
    with pytest.raises(InputError, match=r"must contain images, .*; it has 5 \.avif \(0\.avif"):
        load(f"folder:{tmp_path}", "train")


def test_arrays_beside_other_images_are_left_out(tmp_path):
    for i in range(3):
        write_image(tmp_path / f"{i}.png", i)
    np.save(tmp_path / "labels.npy", np.arange(3))
    with pytest.warns(UserWarning, match=r"left out 1 \.npy beside other images \(labels\.npy\)"):
        assert len(load(f"folder:{tmp_path}", "train").images) == 3


NAMES = (
    *("$5_$10 {bills}", "a\nb\tc", "-x --y", "100%s", "'quoted\"", "🐈", "_hidden", "日本"),
    *(os.fsdecode(b"caf\xe9"), "é" * 120 + "15 bytes", "a" * 251),
)
"""Names that a file or folder can have."""


@pytest.mark.parametrize("sizes", ["one size", "many sizes"])
def test_files_and_classes_of_any_name_are_read(sizes, tmp_path):
    for i, name in enumerate(NAMES):
        file = os.fsdecode(os.fsencode(name)[:250].removesuffix(b"\xc3")) + ".png"
        write_image(tmp_path / "train" / name / file, i, (20 + i * (sizes != "one size"), 16))
    train = load(f"folder:{tmp_path}", "train")
    images = as_images(train.images)
    assert set(train.class_names) == set(map(scan.canonical, NAMES))
    assert [len(batch) for batch in images.resized(16)] == [len(NAMES)]
    pixels = images.pick(np.arange(len(NAMES)), 16)
    for path, label, found in zip(train.paths, train.labels, pixels, strict=True):
        of = os.path.basename(os.path.dirname(path))
        assert scan.canonical(of) == train.class_names[label]
        np.testing.assert_array_equal(found, square(np.asarray(Image.open(path)), 16))
    assert images.fingerprint()


def test_classes_are_the_same_in_each_normal_form(tmp_path):
    for split, form in (("train", "NFC"), ("val", "NFD")):
        for i, word in enumerate(("café", "naïve")):
            write_image(tmp_path / split / unicodedata.normalize(form, word) / "ü.png", i)
    train, test = (load(f"folder:{tmp_path}", split) for split in ("train", "validation"))
    assert train.class_names == test.class_names == ("café", "naïve")
    assert train.labels.tolist() == test.labels.tolist() == [0, 1]


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


@pytest.mark.parametrize(
    ("sizes", "damage", "suffix"),
    [
        ("one size", "truncated", "jpg"),
        ("many sizes", "truncated", "jpg"),
        ("many sizes", "truncated", "png"),
        ("one size", "text", "png"),
        ("many sizes", "empty", "jpg"),
    ],
)
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


def test_memory_that_will_not_suffice_is_said_before_the_files_are_checked(tmp_path, monkeypatch):
    for i in range(8):
        write_image(tmp_path / f"{i}.png", i, (20, 16))
    monkeypatch.setattr(environment, "free_memory", lambda: 8 * 2 * 20 * 16 * 3)
    assert load(f"folder:{tmp_path}").images.shape == (8, 16, 20, 3)
    monkeypatch.setattr(environment, "free_memory", lambda: 7 * 2 * 20 * 16 * 3)
    monkeypatch.setattr(folder, "check", None)
    with pytest.raises(InputError, match=r"8 images of 20×16 pixels need .*: 7 images would fit"):
        load(f"folder:{tmp_path}")
