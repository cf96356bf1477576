"""Tiny ImageNet from disk and through TensorFlow Datasets."""

import pathlib
import shutil
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from keras_simsiam import InputError, load
from keras_simsiam.data.tiny_imagenet import TinyImagenet

REAL = pathlib.Path(__file__).parents[2] / "../shared/data/tiny-imagenet-50.zip"


class TinyImagenetTest(tfds.testing.DatasetBuilderTestCase):
    """TensorFlow Datasets' own test of a builder."""

    DATASET_CLASS = TinyImagenet
    SPLITS = {"train": 120, "validation": 12, "test": 5}  # noqa: RUF012
    OVERLAPPING_SPLITS = ()
    DL_DOWNLOAD_RESULT = "tiny-imagenet-200.zip"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _dummy_data(cls, tiny_imagenet_zip):
        cls.EXAMPLE_DIR = str(tiny_imagenet_zip.parent)

    def test_class_names_are_human(self):
        self._download_and_prepare_as_dataset(self.builder)
        names = self.builder.info.features["label"].names
        assert tuple(names) == ("crane (n02)", "cat", "crane (n03)")

    def test_description_is_its_own(self):
        # TensorFlow Datasets would take that of a README.md beside the module instead.
        assert self.builder.info.description.startswith("200 classes of ImageNet")


def test_zip_and_tree_give_the_same(tiny_imagenet_zip, tiny_imagenet_tree):
    for split in ("train", "validation", "test"):
        zipped, extracted = (
            load("tiny_imagenet", split, str(path))
            for path in (tiny_imagenet_zip, tiny_imagenet_tree)
        )
        np.testing.assert_array_equal(zipped.images, extracted.images)
        np.testing.assert_array_equal(zipped.labels, extracted.labels)


def test_images_and_labels_are_those_of_the_files(tiny_imagenet_tree):
    train = load("tiny_imagenet", "train", str(tiny_imagenet_tree))
    assert train.images.shape == (120, 64, 64, 3)
    assert train.images.dtype == np.uint8
    np.testing.assert_array_equal(train.labels, np.repeat([0, 1, 2], 40))
    assert train.class_names == ("crane (n02)", "cat", "crane (n03)")
    validation = load("tiny_imagenet", "validation", str(tiny_imagenet_tree))
    assert len(validation.images) == 12
    rows = (tiny_imagenet_tree / "val/val_annotations.txt").read_text().splitlines()
    wnids = ["n02", "n01", "n03"]
    for image, label, row in zip(validation.images, validation.labels, rows, strict=True):
        name, wnid = row.split("\t")[:2]
        assert wnids[label] == wnid
        expected = np.asarray(Image.open(tiny_imagenet_tree / "val/images" / name))
        assert np.abs(image.astype(int) - expected).max() <= 2
    assert load("tiny_imagenet", "test", str(tiny_imagenet_tree)).labels is None


def test_grayscale_jpegs_become_rgb(tiny_imagenet_tree):
    images = load("tiny_imagenet", "train", str(tiny_imagenet_tree)).images
    # Names are sorted as text: n02_7 is the fourth from the end of its class.
    gray = [i for i in range(40) if (images[i, ..., 0] == images[i, ..., 2]).all()]
    assert gray == [37]


def test_zip_of_fewer_classes_without_a_top_folder(tiny_imagenet_tree, tmp_path):
    shutil.rmtree(tiny_imagenet_tree / "train/n03")
    (tiny_imagenet_tree / "wnids.txt").write_text("n02\nn01\n")
    annotations = tiny_imagenet_tree / "val/val_annotations.txt"
    kept = [row for row in annotations.read_text().splitlines() if "n03" not in row]
    annotations.write_text("\n".join(kept))
    path = shutil.make_archive(str(tmp_path / "two"), "zip", tiny_imagenet_tree)
    assert len(load("tiny_imagenet", "train", path).images) == 80
    assert len(load("tiny_imagenet", "validation", path).images) == 8


def no_network(*_):
    raise OSError("Name or service not known")


def damage(tree, case, tmp_path):
    """A path that is not Tiny ImageNet, and what the error must name."""
    if case == "missing":
        return tmp_path / "nowhere", "nowhere"
    if case == "empty folder":
        (tmp_path / "empty").mkdir()
        return tmp_path / "empty", "empty"
    if case == "truncated zip":
        whole = pathlib.Path(shutil.make_archive(str(tmp_path / "whole"), "zip", tree))
        cut = tmp_path / "cut.zip"
        cut.write_bytes(whole.read_bytes()[:50_000])
        return cut, "248,100,043"
    if case == "foreign zip":
        with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as file:
            file.writestr("hello.txt", "hello")
        return tmp_path / "foreign.zip", "wnids.txt"
    if case == "no training images":
        shutil.rmtree(tree / "train")
        (tree / "train").mkdir()
        return tree, "must contain train images"
    if case == "unknown class":
        with (tree / "val/val_annotations.txt").open("a") as file:
            file.write("val_0.JPEG\tn99\t0\t0\t63\t63\n")
        return tree, "n99"
    (tree / case).unlink()
    return tree, case


@pytest.mark.parametrize(
    "case",
    [
        "missing",
        "empty folder",
        "truncated zip",
        "foreign zip",
        "wnids.txt",
        "val/val_annotations.txt",
        "no training images",
        "unknown class",
    ],
)
def test_what_is_not_tiny_imagenet_is_refused_by_name(case, tiny_imagenet_tree, tmp_path):
    path, named = damage(tiny_imagenet_tree, case, tmp_path)
    split = "validation" if case == "unknown class" else "train"
    with pytest.raises(InputError, match=named) as caught:
        load("tiny_imagenet", split, str(path))
    assert "\n" not in str(caught.value)


def rezipped(source, path, change=lambda name, content: content, **arguments):
    """A copy of a zip with changed members; those that become None are left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", **arguments) as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return path


def changed_text(ending, content):
    return lambda name, old: content if name.endswith(ending) else old


def patched(path, offset, value, ending=b"wnids.txt"):
    """Changes two bytes of a member's entry in the zip's directory, which is at its end."""
    content = bytearray(path.read_bytes())
    start = content.rindex(b"PK\1\2", 0, content.rindex(ending)) + offset
    content[start : start + 2] = value.to_bytes(2, "little")
    path.write_bytes(content)


TOP = "tiny-imagenet-200"

HOSTILE_ZIPS = {
    "encrypted": (lambda p: patched(p, 8, 1), "must not be encrypted; .*wnids"),
    "zstd": (lambda p: patched(p, 10, 93), "has method 93"),
    "a damaged wnids.txt": (lambda p: patched(p, 16, 12345), r"cannot read wnids\.txt \(Bad CRC"),
    "climbs out": (f"{TOP}/../../etc/passwd", "names inside one folder; got 'tiny.*passwd'"),
    "absolute": ("/etc/passwd", "names inside one folder; got '/etc/passwd'"),
    "twice": (f"{TOP}/wnids.txt", "each file once; got 'tiny-imagenet-200/wnids.txt' twice"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", HOSTILE_ZIPS)
def test_hostile_zips_are_refused_by_name(case, tiny_imagenet_zip, tmp_path):
    path = pathlib.Path(shutil.copy(tiny_imagenet_zip, tmp_path / "hostile.zip"))
    change, said = HOSTILE_ZIPS[case]
    if isinstance(change, str):
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(change, "n01")
    else:
        change(path)
    with pytest.raises(InputError, match=said) as caught:
        load("tiny_imagenet", "train", str(path))
    assert "hostile.zip'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("ending", "content", "said"),
    [
        ("wnids.txt", b"\xff\xfe", "cannot read wnids.txt .*utf-8"),
        ("words.txt", b"n01\tK\xe4fer", "cannot read words.txt .*utf-8"),
        ("wnids.txt", b"n01\nn01", "name each class once, .*; got 'n01' twice"),
        ("wnids.txt", b"../../etc", "by the name of its folder; got '../../etc'"),
        ("wnids.txt", b"\n" * (2**24 + 1), r"cannot read wnids.txt \(it has more than 16,777,216"),
        ("val_annotations.txt", b"../../wnids.txt\tn01", "must have a file of val/images"),
        ("val_annotations.txt", b"\xff", "cannot read val/val_annotations.txt"),
        ("val_annotations.txt", None, "it has no val/val_annotations.txt"),
        ("val_annotations.txt", b"missing.JPEG\tn01", r"1 of 1 images .*missing\.JPEG"),
    ],
)
def test_hostile_texts_are_refused_by_name(ending, content, said, tiny_imagenet_zip, tmp_path):
    change = changed_text(ending, content)
    path = rezipped(tiny_imagenet_zip, tmp_path / "a.zip", change, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match=said) as caught:
        load("tiny_imagenet", "validation", str(path))
    assert "\n" not in str(caught.value)


def test_a_zip_that_would_fill_the_memory_is_refused_at_once(tiny_imagenet_zip, tmp_path):
    path = pathlib.Path(shutil.copy(tiny_imagenet_zip, tmp_path / "bomb.zip"))
    patched(path, 26, 2**15)  # the upper half of the size: 2 GiB
    with pytest.raises(InputError, match="at most 2,147,483,648 bytes when extracted; got 2,147"):
        load("tiny_imagenet", "train", str(path))


def test_an_image_that_is_too_large_is_left_out(tiny_imagenet_zip, tmp_path):
    large = changed_text("n02_3.JPEG", b"\xff\xd8" + b"\0" * 10**6)
    path = rezipped(tiny_imagenet_zip, tmp_path / "a.zip", large, compression=zipfile.ZIP_DEFLATED)
    with pytest.warns(UserWarning, match=r"1 of 120 images cannot be read: n02_3\.JPEG"):
        assert len(load("tiny_imagenet", "train", str(path)).images) == 119


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_hidden_files_and_a_mac_zip_are_read(
    compression, tiny_imagenet_zip, tmp_path
):
    path = rezipped(tiny_imagenet_zip, tmp_path / "other.zip", compression=compression)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("__MACOSX/tiny-imagenet-200/._wnids.txt", b"\0\5\x16\7")
        file.writestr(f"{TOP}/train/n01/images/.DS_Store", b"\0\0\0\1Bud1")
        file.writestr(f"{TOP}/train/n01/images/._n01_0.JPEG", b"\0\5\x16\7")
    read, expected = (load("tiny_imagenet", "train", str(p)) for p in (path, tiny_imagenet_zip))
    np.testing.assert_array_equal(read.images, expected.images)


def test_an_unknown_split_is_named(tiny_imagenet_tree):
    message = "split must be one of train, validation, test; got 'dev'"
    with pytest.raises(InputError, match=message):
        load("tiny_imagenet", "dev", str(tiny_imagenet_tree))


def test_it_is_a_dataset_of_tensorflow_datasets(tmp_path, monkeypatch):
    """Under its own name and with the prefix, whichever module was imported before."""
    builders = []

    def builder(name, data_dir):
        builders.append(name)
        return make(name, data_dir=data_dir)

    make = tfds.builder
    monkeypatch.setattr(tfds, "builder", builder)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("socket.getaddrinfo", no_network)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    for name in ("tiny_imagenet", "tfds:tiny_imagenet"):
        with pytest.raises(InputError, match="'tiny_imagenet' cannot be downloaded"):
            load(name, "train")
    assert builders == ["tiny_imagenet"] * 2


def test_a_damaged_image_is_named_and_left_out(tiny_imagenet_tree):
    whole = load("tiny_imagenet", "train", str(tiny_imagenet_tree))
    path = tiny_imagenet_tree / "train/n01/images/n01_3.JPEG"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.warns(UserWarning, match=r"1 of 120 images cannot be read: n01_3\.JPEG"):
        rest = load("tiny_imagenet", "train", str(tiny_imagenet_tree))
    assert np.bincount(rest.labels).tolist() == [40, 39, 40]
    names = sorted(f"n01_{i}.JPEG" for i in range(40))
    lost = 40 + names.index("n01_3.JPEG")
    np.testing.assert_array_equal(rest.images, np.delete(whole.images, lost, axis=0))


def test_more_than_one_percent_of_damaged_images_are_refused(tiny_imagenet_tree):
    for name in ("n01_3", "n01_4"):
        (tiny_imagenet_tree / f"train/n01/images/{name}.JPEG").write_bytes(b"")
    with pytest.raises(InputError, match=r"2 of 120 .*n01_3\.JPEG.*n01_4\.JPEG.*1%"):
        load("tiny_imagenet", "train", str(tiny_imagenet_tree))


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="needs Tiny ImageNet, which may not be shared")
def test_real_tiny_imagenet_is_read_whole():
    train, validation = (load("tiny_imagenet", s, str(REAL)) for s in ("train", "validation"))
    assert (np.bincount(train.labels) == 500).all()
    assert (np.bincount(validation.labels) == 50).all()
    assert len(set(train.class_names)) == 50
    gray = (train.images[..., 0] == train.images[..., 2]).all(axis=(1, 2)).mean()
    assert 0.01 < gray < 0.03
