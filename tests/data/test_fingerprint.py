"""Images have the same fingerprint wherever they lie, and others another one."""

import shutil
import unicodedata

import numpy as np
import pytest

from keras_simsiam.data import Dataset, ImageArray, ImageFiles, ImageRecords, fingerprint
from keras_simsiam.data.shards import Shards


@pytest.fixture
def folder(tmp_path):
    """200 files of one size."""
    for i in range(200):
        path = tmp_path / "a" / ("cat" if i < 100 else "dog") / f"{i:03}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%04d" % i)
    return tmp_path / "a"


def of(folder, kind=ImageFiles):
    paths = sorted(str(p) for p in folder.rglob("*") if p.is_file())
    return kind(paths).fingerprint()


def test_files_are_the_same_under_another_path(folder, tmp_path):
    before = of(folder)
    moved = folder.rename(tmp_path / "elsewhere")
    assert of(moved) == before
    shutil.copytree(moved, tmp_path / "with/other times", copy_function=shutil.copyfile)
    assert of(tmp_path / "with/other times") == before


def test_a_name_is_the_same_in_each_normal_form(tmp_path):
    found = []
    for form in ("NFC", "NFD"):
        path = tmp_path / form / unicodedata.normalize(form, "café") / "Ä.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"image")
        found.append(fingerprint.of_files([str(path), str(path.parent / "b.png")]))
    assert found[0] == found[1]


def rename(folder):
    (folder / "cat/007.bmp").rename(folder / "cat/007b.bmp")


def lengthen(folder):
    (folder / "cat/007.bmp").write_bytes(b"00007")


def remove(folder):
    (folder / "cat/007.bmp").unlink()


def replace(folder):
    """All contents, the names and sizes being the same."""
    for path in folder.rglob("*.bmp"):
        path.write_bytes(b"new!")


@pytest.mark.parametrize("change", [rename, lengthen, remove, replace])
def test_other_files_are_told_apart(change, folder):
    before = of(folder)
    change(folder)
    assert of(folder) != before


def test_record_files_are_known_like_image_files(folder, tmp_path):
    def records(paths):
        return ImageRecords(Shards(paths, np.zeros([200, 2], np.int64)), lambda record: record)

    before = of(folder, records)
    moved = folder.rename(tmp_path / "elsewhere")
    assert of(moved, records) == before
    lengthen(moved)
    assert of(moved, records) != before


def test_arrays_are_known_by_their_pixels(monkeypatch):
    images = np.random.RandomState(0).randint(0, 256, (64, 4, 4, 3), np.uint8)
    before = ImageArray(images).fingerprint()
    assert ImageArray(images.copy()).fingerprint() == before
    assert ImageArray(images[::-1]).fingerprint() != before
    assert ImageArray(images.reshape(64, 2, 8, 3)).fingerprint() != before
    other = images.copy()
    other[63, 3, 3, 2] ^= 1
    assert ImageArray(other).fingerprint() != before
    monkeypatch.setattr(fingerprint, "_PIXELS", 1000)  # more than that is sampled
    assert ImageArray(images).fingerprint() != ImageArray(images ^ 1).fingerprint()


def test_labels_and_the_names_of_classes_count():
    images, labels = np.zeros((4, 2, 2, 3), np.uint8), np.array([0, 0, 1, 1])
    found = Dataset(images, labels, ("cat", "dog")).fingerprints("test")
    assert list(found) == ["test images", "test labels"]
    assert found["test images"].startswith("4 (")
    for other in (
        Dataset(images, labels[::-1], ("cat", "dog")),
        Dataset(images, labels, ("ape", "dog")),
    ):
        assert other.fingerprints("test")["test images"] == found["test images"]
        assert other.fingerprints("test")["test labels"] != found["test labels"]
    assert list(Dataset(images, None, ()).fingerprints("test")) == ["test images"]
