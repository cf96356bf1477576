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


def pretend(monkeypatch, **versions):
    """Makes these distributions the installed ones."""

    def version(name):
        if name.replace("-", "_") not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name.replace("-", "_")]

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.parametrize(
    ("tensorflow", "keras"), [("2.21.0", "3.15.1"), ("2.16.0rc1", "3.5.0"), ("2.15.1", "2.15.0")]
)
def test_both_generations_of_keras_are_accepted_without_a_word(
    tensorflow, keras, monkeypatch, recwarn
):
    pretend(monkeypatch, tensorflow=tensorflow, keras=keras)
    importlib.reload(keras_simsiam)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("tensorflow", "keras", "said"),
    [
        ("2.14.0", "2.14.0", "tensorflow 2.14.0 with keras 2.14.0 is installed"),
        ("2.21.0", "3.4.1", "tensorflow 2.21.0 with keras 3.4.1 is installed"),
        ("2.15.1", "3.15.1", "tensorflow 2.15.1 goes with Keras 2.15, but keras 3.15.1"),
    ],
)
def test_a_stack_that_does_not_match_is_named_in_one_line(tensorflow, keras, said, monkeypatch):
    pretend(monkeypatch, tensorflow=tensorflow, keras=keras)
    with pytest.raises(ImportError, match=said) as caught:
        importlib.reload(keras_simsiam)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(sys, "argv", ["-m"])  # while a command is found
    with pytest.raises(SystemExit, match=f"error: .*{said}"):
        importlib.reload(keras_simsiam)


def test_addons_beside_keras_3_are_named_and_left_alone(monkeypatch):
    pretend(monkeypatch, tensorflow="2.21.0", keras="3.15.1", tensorflow_addons="0.23.0")
    said = "tensorflow-addons 0.23.0 cannot be imported beside keras 3.15.1, and is not used"
    with pytest.warns(UserWarning, match=said):
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
