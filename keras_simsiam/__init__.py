"""SimSiam for Keras: learning image features without labels (Chen and He, CVPR 2021).

The public names are loaded when they are first used, so that ``--help`` of a command does not
wait for TensorFlow.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
import warnings

__version__ = "0.1.0"

_HOMES = {
    "Augmentation": "config",
    "CollapseMonitor": "training.collapse",
    "InputError": "errors",
    "KNNMonitor": "training.callbacks",
    "LARS": "training.optimizers",
    "Run": "config",
    "SGD": "training.optimizers",
    "SimSiam": "models.simsiam",
    "SimSiamHyperModel": "tuning.hypermodel",
    "TrainingDiverged": "errors",
    "export_encoder": "export",
    "export_pytorch": "models.pytorch",
    "knn_accuracy": "evaluation",
    "linear_accuracy": "evaluation",
    "load": "data",
    "load_encoder": "export",
    "load_pytorch_weights": "models.pytorch",
    "no_predictor": "models.heads",
    "paper_optimizers": "training.optimizers",
    "predictor": "models.heads",
    "preset": "presets",
    "projector": "models.heads",
    "resnet18": "models.resnet",
    "resnet34": "models.resnet",
    "resnet50": "models.resnet",
    "views": "data",
}

__all__ = [*_HOMES]


def __getattr__(name: str):
    """Loads a public name from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module 'keras_simsiam' has no attribute '{name}'")
    return getattr(importlib.import_module(f"keras_simsiam.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


def _version(*distributions: str) -> tuple[str, tuple[int, ...]] | None:
    """The first of these that is installed: its name and version, and that in numbers."""
    for distribution in distributions:
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
        return f"{distribution} {version}", tuple(int(part) for part in version.split(".")[:2])
    return None


def _check_stack() -> str | None:
    """What is wrong with TensorFlow and Keras as they are installed, without loading them."""
    needs = "keras_simsiam needs TensorFlow 2.16 or newer with Keras 3.5 or newer"
    older = "pip install 'keras-simsiam[addons]' brings TensorFlow 2.15 with Keras 2.15"
    if importlib.util.find_spec("tensorflow") is None:
        return f"{needs}; none is installed: pip install tensorflow"
    tensorflow, keras = _version("tensorflow", "tensorflow-cpu"), _version("keras")
    if tensorflow is None or keras is None:  # built by oneself, say
        return None
    if tensorflow[1] < (2, 15) or (tensorflow[1] > (2, 15) and keras[1] < (3, 5)):
        return f"{needs}, or 2.15 with Keras 2.15; {tensorflow[0]} with {keras[0]} is installed"
    if tensorflow[1] == (2, 15) and keras[1] != (2, 15):
        return f"{tensorflow[0]} goes with Keras 2.15, but {keras[0]} is installed; {older}"
    addons = _version("tensorflow-addons")
    if addons is not None and keras[1] >= (3, 0):
        warnings.warn(
            f"{addons[0]} cannot be imported beside {keras[0]}, and is not used; {older}",
            stacklevel=3,
        )
    return None


if (_wrong := _check_stack()) is not None:
    if sys.argv[:1] == ["-m"]:  # a command: one line is for the person at the keyboard
        raise SystemExit(f"error: {_wrong}")
    raise ImportError(_wrong)

# `keras.models.load_model` must know our classes as soon as the package is imported. Only while
# Python locates the module of a command, when argv starts with "-m", is it too early for that.
if sys.argv[:1] != ["-m"]:
    for _name in ("SimSiam", "SGD"):
        __getattr__(_name)
