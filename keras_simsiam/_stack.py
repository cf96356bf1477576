"""Checks that the installed TensorFlow and Keras go together, without importing them."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
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
    if tensorflow is None or keras is None:  # a build of the user's own
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


def _version(*distributions: str) -> tuple[str, tuple[int, ...]] | None:
    """Returns the first that is installed as "name version", and the version as numbers."""
    for distribution in distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            version = importlib.metadata.version(distribution)
            return f"{distribution} {version}", tuple(map(int, version.split(".")[:2]))
    return None
