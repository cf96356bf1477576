"""Weights from PyTorch's SimSiam models and ResNets, and back.

Both sides are translated to the names of `torch_names`.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from typing import Literal

import keras
import numpy as np

from keras_simsiam import documents
from keras_simsiam.errors import InputError, check_choice
from keras_simsiam.fields import checks_arguments
from keras_simsiam.models import heads, torch_files, torch_names
from keras_simsiam.models.base import JointEmbedding
from keras_simsiam.models.resnet import BACKBONES
from keras_simsiam.models.simsiam import SimSiam

Layout = Literal["torchvision", "authors"]
"""What `export_pytorch` writes: the backbone as a ResNet of torchvision, or all parts of the model
as in the checkpoints of SimSiam's authors."""


_KINDS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@checks_arguments
def load_pytorch_weights(model: keras.Model, path: str | pathlib.Path) -> None:
    """Loads the weights of a PyTorch checkpoint into a model.

    Checkpoints of torchvision's ResNets and of the methods that the README of this folder lists
    are recognized by their names. Loading is strict: missing, unexpected and mismatched
    tensors are listed, and the model is left as it was. Classifiers are ignored.

    Args:
        model: A `SimSiam`, or a backbone, which takes its part of a whole SimSiam.
        path: See `read_pytorch`.

    Raises:
        InputError: If the file cannot be read, or does not fit the model.
    """
    assign(model, read_pytorch(path), path)


def read_pytorch(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """Reads a checkpoint, with the names of this module and PyTorch's order of axes.

    Args:
        path: A ``.safetensors`` file, or one from `torch.save` with a state dict, or with a dict
            that has one under "state_dict", "model", "teacher" (DINO) or
            "online_network_state_dict" (PyTorch-BYOL). No code in the file is run.

    Raises:
        InputError: If the file does not exist, cannot be read, or holds no ResNet.
    """
    path = pathlib.Path(path)
    found = torch_files.read(path)
    with documents.named(path):
        weights = torch_names.of_parts(torch_names.common(found))
    if not any(name.startswith("backbone.conv1.") for name in weights):
        shown = ", ".join(list(found)[:3]) or "none"
        raise InputError(
            f"checkpoint '{path}' must hold a ResNet with names as in torchvision, or a SimSiam of "
            f"its authors, lightly or solo-learn; got {shown}, …"
        )
    return weights


def build(weights: dict[str, np.ndarray], backbone: str) -> keras.Model:
    """The network of a checkpoint, with its weights.

    Args:
        weights: See `read_pytorch`.
        backbone: A key of `BACKBONES`. Its stem and width, and the heads, are taken from the
            checkpoint.

    Returns:
        A `SimSiam` if the checkpoint has both heads, else the backbone alone.

    Raises:
        InputError: If there is no such backbone, or it does not fit the checkpoint.
    """
    check_choice("backbone", backbone, BACKBONES)
    width, kernel = _first_layer(weights)
    model = BACKBONES[backbone](width=width, stem="imagenet" if kernel == 7 else "cifar")
    if _has(weights, "projector") and _has(weights, "predictor"):
        assign(model, weights, "the checkpoint")  # before heads are built around it
        of_projector = _head(weights, "projector", model.output_shape[1])
        of_predictor = _head(weights, "predictor", of_projector["output_dim"])
        of_predictor.pop("output_dim")  # that of the projector, or else `assign` says so
        projector = heads.projector(model.output_shape[1], **of_projector)
        model = SimSiam(
            model, projector, heads.predictor(projector.output_shape[1], **of_predictor)
        )
    assign(model, weights, "the checkpoint")
    return model


def is_whole(weights: dict[str, np.ndarray], model: keras.Model) -> bool:
    """Whether a checkpoint has weights for every part of a model."""
    return all(_has(weights, part) for part, network in parts(model).items() if network.variables)


def parts(model: keras.Model) -> dict[str, keras.Model]:
    """The parts of a model by name; a backbone is its own only part."""
    return model.parts if isinstance(model, JointEmbedding) else {"backbone": model}


def assign(model: keras.Model, weights: dict[str, np.ndarray], source: str | pathlib.Path) -> None:
    """Assigns weights from `read_pytorch` to a model; see `load_pytorch_weights`.

    Args:
        model: The model.
        weights: The weights; those of parts that the model does not have are ignored.
        source: Their name in messages.
    """
    names = tuple(parts(model))
    variables = dict(named_variables(model))
    given = {n: to_keras(v) for n, v in weights.items() if n.split(".")[0] in names}
    both = variables.keys() & given.keys()
    shapes = {name: (list(given[name].shape), list(variables[name].shape)) for name in both}
    wrong = {
        "missing": variables.keys() - given.keys(),
        "unexpected": given.keys() - variables.keys(),
        "mismatched": {f"{n} has shape {a}, not {b}" for n, (a, b) in shapes.items() if a != b},
    }
    if any(wrong.values()):
        found = "; ".join(f"{what}: {_some(found)}" for what, found in wrong.items() if found)
        hint = ""
        if len(names) > 1 and [part for part in names if _has(weights, part)] == ["backbone"]:
            hint = ". It has only a backbone: load it into model.backbone"
        raise InputError(f"the weights of '{source}' do not fit {model.name}: {found}{hint}")
    for name, variable in variables.items():
        variable.assign(given[name])


@checks_arguments
def export_pytorch(
    model: keras.Model, path: str | pathlib.Path, layout: Layout = "torchvision"
) -> None:
    """Writes a model's weights for PyTorch, atomically.

    Args:
        model: A `SimSiam`, or a backbone.
        path: The file: ``.safetensors``, which does not need torch, or any other suffix for what
            `torch.load` reads.
        layout: "torchvision" for the backbone's state dict, which ``torchvision.models.resnet50``
            loads once its ``fc`` is an ``nn.Identity()``; "authors" for all parts, as in the
            authors' checkpoints, which their ``main_lincls.py`` reads.

    Raises:
        InputError: If there is no such layout, or the authors' is given a backbone alone.
    """
    if layout == "authors" and len(parts(model)) == 1:
        raise InputError("layout 'authors' must be of a whole SimSiam; got a backbone")
    key, exported = None, {}
    for name, array in _with_torchs_own(model).items():
        part, _, rest = name.partition(".")
        if layout == "authors":
            key = "state_dict"
            beginning = {"backbone": "encoder", "projector": "encoder.fc"}.get(part, part)
            exported[f"module.{beginning}.{rest}"] = array
        elif part == "backbone":
            exported[rest] = array
    torch_files.write(pathlib.Path(path), exported, key)


def named_variables(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Every variable of a `SimSiam` or a backbone, with its name in this module."""
    for part, network in parts(model).items():
        for position, layer in enumerate(network.layers[1:]):  # the first is the input
            name = layer.name if part == "backbone" else position
            for variable in layer.weights:
                kind = variable.name.split("/")[-1].split(":")[0]
                yield f"{part}.{name}.{_KINDS[kind]}", variable


def to_keras(array: np.ndarray) -> np.ndarray:
    """Transposes PyTorch's convolutions (OIHW) and linear layers ([out, in]) for Keras."""
    return np.transpose(array, {4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim, range(array.ndim)))


def _to_torch(variable) -> np.ndarray:
    array = np.asarray(variable, np.float32)
    order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[array.ndim]
    return np.ascontiguousarray(np.transpose(array, order))


def _with_torchs_own(model: keras.Model) -> dict[str, np.ndarray]:
    """A model's weights, and those that PyTorch's modules have in addition."""
    weights = {name: _to_torch(v) for name, v in named_variables(model)}
    for name in [n for n in weights if n.endswith("running_mean")]:
        norm = name.removesuffix("running_mean")
        weights[f"{norm}num_batches_tracked"] = np.array(0, np.int64)
        head, _, number = norm[:-1].partition(".")
        if head == "projector" and f"{norm}weight" not in weights:
            # Before the authors' last BatchNorm, which has no offset, the layer has a bias without
            # effect.
            weights[f"{head}.{int(number) - 1}.bias"] = np.zeros_like(weights[name])
    return weights


def _has(weights: dict[str, np.ndarray], part: str) -> bool:
    return any(name.startswith(f"{part}.") for name in weights)


def _first_layer(weights: dict[str, np.ndarray]) -> tuple[int, int]:
    """Channels and kernel size of a ResNet's first convolution.

    The network is only as large as the file says twice: a few bytes could ask for terabytes.
    """
    first, last = (
        list(weights.get(f"backbone.{name}.weight", np.empty(0)).shape)
        for name in ("conv1", "layer4.1.conv2")
    )
    if len(first) != 4 or not first[0] or last != [8 * first[0], 8 * first[0], 3, 3]:
        raise InputError(
            "backbone.conv1.weight and backbone.layer4.1.conv2.weight must have the shapes of a "
            f"ResNet, [W, 3, K, K] and [8·W, 8·W, 3, 3]; got {first} and {last}"
        )
    return first[0], first[-1]


def _head(weights: dict[str, np.ndarray], part: str, input_dim: int) -> dict:
    """The arguments for a head of the same layers."""
    shapes = {
        int(found[1]): array.shape
        for name, array in weights.items()
        if (found := re.fullmatch(rf"{part}\.(\d{{1,9}})\.weight", name)) and array.ndim == 2
    }
    dense = sorted(shapes)
    normed = [f"{part}.{i + 1}.running_mean" in weights for i in dense]
    dims = [shapes[i][0] for i in dense]
    if not dense or [shapes[i][1] for i in dense] != [input_dim, *dims[:-1]] or min(dims) < 1:
        shown = ", ".join(str([*shapes[i]]) for i in dense) or "none"
        raise InputError(
            f"the {part}'s linear layers must follow one another, from {input_dim} inputs; "
            f"got the shapes {shown}"
        )
    return {
        "output_dim": dims[-1],
        "hidden_dim": dims[0],
        "layers": len(dense),
        "batch_norm": "all" if normed[-1] else "hidden" if any(normed) else "none",
    }


def _some(names: set[str], shown: int = 10) -> str:
    listed = ", ".join(sorted(names)[:shown])
    return listed if len(names) <= shown else f"{listed}, … ({len(names)} in all)"
