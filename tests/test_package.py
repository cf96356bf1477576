"""What an import gives, and how it fails where TensorFlow is missing or too old."""

import importlib
import importlib.metadata
import importlib.util
import subprocess
import sys

import pytest

import keras_simsiam


@pytest.mark.parametrize("name", keras_simsiam.__all__)
def test_each_public_name_is_there_and_described(name):
    assert getattr(keras_simsiam, name).__doc__


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="BYOL"):
        _ = keras_simsiam.BYOL


def test_without_tensorflow_the_import_fails_with_one_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs TensorFlow 2\.16 or newer") as caught:
        importlib.reload(keras_simsiam)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("version", "works"), [("2.15.1", False), ("2.16.0rc1", True)])
def test_an_old_tensorflow_is_named(version, works, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    if works:
        importlib.reload(keras_simsiam)
        return
    with pytest.raises(ImportError, match=r"tensorflow 2\.15\.1 is installed"):
        importlib.reload(keras_simsiam)


def test_version_is_that_of_the_installed_package():
    assert importlib.metadata.version("keras-simsiam") == keras_simsiam.__version__


def test_after_the_import_keras_can_load_a_saved_simsiam(tmp_path):
    backbone = keras_simsiam.resnet18(width=2)
    model = keras_simsiam.SimSiam(
        backbone, keras_simsiam.projector(16, 8), keras_simsiam.predictor(8)
    )
    model.compile(**keras_simsiam.paper_optimizers(64, 10))
    model.save(tmp_path / "simsiam.keras")
    script = """
import keras
import keras_simsiam
model = keras.models.load_model("simsiam.keras")
assert type(model).__name__ == "SimSiam"
assert model.optimizer.coupled_weight_decay == 1e-4
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
