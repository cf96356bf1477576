"""Shared by all tests: reference arrays, small datasets on disk, and a quiet TensorFlow."""

import gc
import os
import pathlib
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Tests are the same on every machine, whatever was built there; `native` turns it on.
os.environ["KERAS_SIMSIAM_NATIVE"] = "0"
if (os.cpu_count() or 1) > 1:
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as in commands: the same bits
# For `experiments`, which is not installed; last, so that the package is the installed one.
sys.path.append(str(pathlib.Path(__file__).parents[1]))

import numpy as np
import pytest
from helpers import write_image
from helpers.backbones import BACKBONES, TINY

REFERENCE = pathlib.Path(__file__).parent / "reference"


@pytest.fixture(scope="module", autouse=True)
def nothing_old_is_looked_at_again():
    """Takes what is there before a module's tests from the garbage collector.

    A million objects are those of TensorFlow's modules. Keras and Keras Tuner have all objects
    looked at so often, as in `clear_session`, that it was most of the time of some tests.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def native_cache(tmp_path_factory):
    """A folder for caches with the native operations, built once."""
    from keras_simsiam.errors import InputError
    from keras_simsiam.native import build

    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_SIMSIAM_CACHE", str(cache))
        try:
            build.compiler()
        except InputError as e:
            pytest.skip(str(e))
        build.build()
    return cache


@pytest.fixture
def native(native_cache, monkeypatch):
    """The native operations, which make the views in this test."""
    from keras_simsiam.native import operations

    monkeypatch.setenv("KERAS_SIMSIAM_CACHE", str(native_cache))
    monkeypatch.setenv("KERAS_SIMSIAM_NATIVE", "1")
    operations.cache_clear()
    yield operations()
    operations.cache_clear()


@pytest.fixture
def tiny_backbones(monkeypatch):
    """Makes every backbone of a run one convolution, which is traced and compiled soon."""
    for name, backbone in TINY.items():
        monkeypatch.setitem(BACKBONES, name, backbone)


@pytest.fixture(scope="session")
def reference():
    """Arrays computed by PyTorch, torchvision and Pillow; see reference/README.md."""

    def read(name):
        with np.load(REFERENCE / f"{name}.npz") as file:
            return dict(file)

    return read


@pytest.fixture(scope="session")
def tiny_imagenet_master(tmp_path_factory):
    """Tiny ImageNet's layout with 3 classes, 40 + 4 images each, some of them grayscale."""
    root = tmp_path_factory.mktemp("master") / "tiny-imagenet-200"
    wnids = ("n02", "n01", "n03")
    annotations = []
    for label, wnid in enumerate(wnids):
        for i in range(40):
            path = root / "train" / wnid / "images" / f"{wnid}_{i}.JPEG"
            write_image(path, 100 * label + i, mode="L" if i == 7 else "RGB")
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("not an image\n")
        for i in range(4):
            name = f"val_{4 * label + i}.JPEG"
            write_image(root / "val/images" / name, 1000 + 4 * label + i)
            annotations.append(f"{name}\t{wnid}\t0\t0\t63\t63\n")
    for i in range(5):
        write_image(root / "test/images" / f"test_{i}.JPEG", 2000 + i)
    (root / "wnids.txt").write_text("\n".join(wnids) + "\n")
    (root / "words.txt").write_text("n01\tcat, house cat\nn02\tcrane\nn03\tcrane\nn04\tdog\n")
    (root / "val/val_annotations.txt").write_text("".join(reversed(annotations)))
    return root


@pytest.fixture
def tiny_imagenet_tree(tiny_imagenet_master, tmp_path):
    """A copy of it for a test to damage."""
    return pathlib.Path(shutil.copytree(tiny_imagenet_master, tmp_path / "tiny-imagenet-200"))


@pytest.fixture(scope="session")
def tiny_imagenet_zip(tiny_imagenet_master):
    """A zip of it, everything in one folder, as in the official archive."""
    root = tiny_imagenet_master
    return pathlib.Path(shutil.make_archive(str(root), "zip", root.parent, root.name))
