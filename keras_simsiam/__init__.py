"""SimSiam for Keras: learning image features without labels (Chen and He, CVPR 2021).

The public names are loaded when they are first used, so that ``--help`` of a command does not
wait for TensorFlow.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys

__version__ = "0.1.0"

_HOMES = {
    "Augmentation": "config",
    "CollapseMonitor": "training.collapse",
    "InputError": "errors",
    "KNNMonitor": "training.callbacks",
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


def _check_tensorflow() -> None:
    """Fails with one line, without loading TensorFlow, where it is missing or too old."""
    wanted = "keras_simsiam needs TensorFlow 2.16 or newer, with Keras 3"
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(f"{wanted}; none is installed: pip install tensorflow")
    for distribution in ("tensorflow", "tensorflow-cpu"):
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
        if tuple(int(part) for part in version.split(".")[:2]) < (2, 16):
            raise ImportError(f"{wanted}; {distribution} {version} is installed")
        return


_check_tensorflow()

# `keras.models.load_model` must know our classes as soon as the package is imported. Only while
# Python locates the module of a command, when argv starts with "-m", is it too early for that.
if sys.argv[:1] != ["-m"]:
    for _name in ("SimSiam", "SGD"):
        __getattr__(_name)
