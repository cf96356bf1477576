"""Weights of an earlier run for a new one: ``--from RUN``."""

from __future__ import annotations

import os
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_simsiam import documents
from keras_simsiam.config import Run
from keras_simsiam.errors import InputError, first_line
from keras_simsiam.models import backbones
from keras_simsiam.models.base import JointEmbedding
from keras_simsiam.models.parts import layers_of
from keras_simsiam.preprocessing import Preprocessing
from keras_simsiam.training import resuming


class Earlier(NamedTuple):
    """What an earlier training has left."""

    place: pathlib.Path
    """The file or SavedModel that was read."""
    backbone: str
    """Its backbone in words."""
    weights: dict[str, Sequence[Any]]
    """The variables of each part."""
    kinds: list[str] | None
    """The classes of the backbone's layers; None if they are not known."""
    preprocessing: Preprocessing | None


def place_of(source: str, run_dir: str) -> str:
    """A run's folder, if it was given by its name alone."""
    folder = pathlib.Path(run_dir, source)
    return str(folder) if not os.path.exists(source) and folder.is_dir() else source


def take(source: str, run: Run, model: JointEmbedding) -> str:
    """Loads the weights of an earlier run into a model, and says which.

    The backbone must be the same. Of the other parts, those of equal shapes are taken.

    Args:
        source: A run's folder, a SavedModel, or a ``.keras`` file.
        run: The settings of the new run.
        model: Its model.

    Raises:
        InputError: If there is nothing to take, or the backbone differs.
    """
    earlier = _read(pathlib.Path(source))
    _check_same_backbone(earlier, run, model.backbone)
    taken: list[str] = []
    left: list[str] = []
    for name, network in model.parts.items():
        if not network.weights:
            continue
        theirs = earlier.weights.get(name, [])
        fits = _shapes(theirs) == _shapes(network.weights)
        (taken if fits else left).append(name)
        if fits:
            network.set_weights([v.numpy() for v in theirs])
    _warn_of_another_normalization(earlier, model)
    others = f"; random: {', '.join(left)}" if left else ""
    return f"{', '.join(taken)} from {earlier.place}{others}"


def _read(path: pathlib.Path) -> Earlier:
    """What there is at a place.

    Raises:
        InputError: If there is nothing that can be read.
    """
    if (path / "config.yaml").is_file():
        settings = Run.load(path / "config.yaml").model
        found, _ = next(resuming.intact(path / "checkpoints"), (None, None))
        inner = _of_file(found) if found is not None else _of_saved_model(_exported(path))
        return inner._replace(backbone=settings.architecture)
    if (path / "saved_model.pb").is_file():
        return _of_saved_model(path)
    if path.suffix == ".keras":
        return _of_file(path)
    if path.suffix in (".pt", ".pth", ".tar", ".ckpt", ".safetensors"):
        raise InputError(f"--from '{path}': PyTorch's weights are read by --pytorch-weights")
    raise InputError(
        f"--from '{path}' must be a run's name or folder, a SavedModel, a .keras file or an .h5 "
        "file of the backbone's weights"
    )


def _exported(folder: pathlib.Path) -> pathlib.Path:
    """The SavedModel of a run without checkpoints."""
    summary = folder / "summary.json"
    exported = documents.read_json(summary).get("saved_model") if summary.is_file() else None
    if exported is None or not os.path.isdir(exported):
        raise InputError(f"--from '{folder}': the run has neither a checkpoint nor a SavedModel")
    return pathlib.Path(exported)


def _of_file(path: pathlib.Path) -> Earlier:
    model = backbones.load_model(path)
    whole = isinstance(model, JointEmbedding)
    parts = model.parts if whole else {"backbone": model}
    backbone, preprocessing = parts["backbone"], model.preprocessing if whole else None
    weights = {name: network.weights for name, network in parts.items()}
    return Earlier(path, backbone.name, weights, _kinds(backbone), preprocessing)


def _of_saved_model(path: pathlib.Path) -> Earlier:
    try:
        module = tf.saved_model.load(str(path))
        weights = [v for v in module.weights if v.dtype.is_floating]  # not the state of Dropout
    except Exception as e:  # of a damaged one, any part's parser may raise its own error
        raise InputError(f"--from '{path}': cannot read its weights: {first_line(e)}") from e
    return Earlier(path, "another network", {"backbone": weights}, None, None)


def _check_same_backbone(earlier: Earlier, run: Run, backbone: keras.Model) -> None:
    """Raises InputError if the backbones differ, naming both."""
    before, now = _shapes(earlier.weights["backbone"]), _shapes(backbone.weights)
    kinds = earlier.kinds or _kinds(backbone)
    if before == now and kinds == _kinds(backbone):
        return
    was, is_ = next(
        ((a, b) for a, b in zip(before, now, strict=False) if a != b),
        (f"{len(before)} weights", f"{len(now)} weights"),
    )
    if was == is_:
        was, is_ = f"{len(kinds)} layers", f"{len(_kinds(backbone))} layers"
    raise InputError(
        f"--from '{earlier.place}': its backbone is {earlier.backbone}, that of this run "
        f"{run.model.architecture}; the first difference is {was} there, {is_} here"
    )


def _warn_of_another_normalization(earlier: Earlier, model: JointEmbedding) -> None:
    theirs, ours = earlier.preprocessing, model.preprocessing
    if theirs is None or ours is None or (theirs.mean, theirs.std) == (ours.mean, ours.std):
        return
    warnings.warn(
        f"the weights of '{earlier.place}' are for images with mean {theirs.mean} and std "
        f"{theirs.std}; this run has {ours.mean} and {ours.std}",
        stacklevel=2,
    )


def _shapes(variables: Sequence[Any]) -> list[list[int]]:
    return [list(v.shape) for v in variables]


def _kinds(network: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in layers_of(network)]
