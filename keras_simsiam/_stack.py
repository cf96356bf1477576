"""Checks that TensorFlow, Keras and its settings go together, without importing them."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import sys
import warnings

_NEEDS = "keras_simsiam needs TensorFlow 2.16 or newer with Keras 3.5 or newer"
_KERAS_2 = "pip install 'keras-simsiam[addons]' installs TensorFlow 2.15 with Keras 2.15"


def problem() -> str | None:
    """Returns what is wrong with the installed stack in one line; None if nothing is.

    TensorFlow Addons beside Keras 3 cannot work, but nothing here needs it: that is a warning.
    """
    if importlib.util.find_spec("tensorflow") is None:
        return f"{_NEEDS}; TensorFlow is not installed: pip install tensorflow"
    tensorflow, keras = _version("tensorflow", "tensorflow-cpu"), _version("keras")
    if tensorflow is None or keras is None:  # a custom build without metadata
        return None
    if tensorflow[1] < (2, 15) or (tensorflow[1] > (2, 15) and keras[1] < (3, 5)):
        return f"{_NEEDS}, or 2.15 with Keras 2.15; got {tensorflow[0]} with {keras[0]}"
    if tensorflow[1] == (2, 15) and keras[1] != (2, 15):
        return f"{tensorflow[0]} needs Keras 2.15; got {keras[0]}; {_KERAS_2}"
    addons = _version("tensorflow-addons")
    if addons is not None and keras[1] >= (3, 0):
        warnings.warn(
            f"{addons[0]} does not work with {keras[0]} and is ignored; {_KERAS_2}", stacklevel=3
        )
    return None


def wrong_setting() -> str | None:
    """Returns which setting of Keras does not work here in one line; None if all do.

    The settings are Keras's own if it is imported, else those that it is going to read.
    """
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "backend"):
        where = of_backend = "keras.config"
        backend, layout = keras.backend.backend(), keras.backend.image_data_format()
    else:
        path = _keras_json()
        where = of_backend = str(path)
        try:
            settings = json.loads(path.read_text())
            backend, layout = settings.get("backend"), settings.get("image_data_format")
        except (OSError, ValueError, AttributeError):  # Keras then takes its defaults
            backend = layout = None
        if variable := os.environ.get("KERAS_BACKEND"):
            backend, of_backend = variable, "KERAS_BACKEND"
    version = _version("keras")
    if version is not None and version[1] < (3, 0):
        backend = None  # Keras 2 has only one, whatever the settings say
    for name, needed, value, source in (
        ("backend", "tensorflow", backend, of_backend),
        ("image_data_format", "channels_last", layout, where),
    ):
        if value not in (None, needed):
            return f"keras_simsiam needs Keras's {name} to be {needed}; got {value!r} from {source}"
    return None


def _keras_json() -> pathlib.Path:
    """The file of Keras's settings."""
    home = os.path.expanduser("~")
    base = home if os.access(home, os.W_OK) else "/tmp"  # as Keras does
    return pathlib.Path(os.environ.get("KERAS_HOME") or f"{base}/.keras") / "keras.json"


def _version(*distributions: str) -> tuple[str, tuple[int, ...]] | None:
    """Returns the first that is installed as "name version", and the version as numbers."""
    for distribution in distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            version = importlib.metadata.version(distribution)
            return f"{distribution} {version}", tuple(map(int, version.split(".")[:2]))
    return None
