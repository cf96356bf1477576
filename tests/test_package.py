"""What an import gives, and how it fails where TensorFlow is missing or too old."""

import importlib
import importlib.metadata
import importlib.util

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
