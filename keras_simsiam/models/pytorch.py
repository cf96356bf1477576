"""Weights from PyTorch's SimSiam models and ResNets, and back.

Everything has one name in between, torchvision's for the backbone and that of an
``nn.Sequential`` for the heads: ``backbone.layer1.0.conv1.weight``, ``projector.0.weight``,
``predictor.3.bias``. What a file calls them differs only in how those names begin.
"""

from __future__ import annotations

import importlib
import os
import pathlib
import pickle
import re
from collections.abc import Iterator

import keras
import numpy as np

from keras_simsiam.errors import InputError, check_choice
from keras_simsiam.models import heads
from keras_simsiam.models.resnet import BACKBONES
from keras_simsiam.models.simsiam import SimSiam

PARTS = ("backbone", "projector", "predictor")

LAYOUTS = ("torchvision", "authors")
"""What `export_pytorch` writes: the backbone as torchvision's ResNets have it, or all of SimSiam as
the authors' checkpoints have it."""

_RENAMED = (
    (r"module\.", ""),  # DistributedDataParallel
    (r"encoder\.fc\.(?=\d)", "projector."),  # the authors: the projector is the ResNet's fc
    (r"encoder\.", "backbone."),  # the authors, and older solo-learn
    (r"projection_head\.layers\.", "projector."),  # lightly
    (r"prediction_head\.layers\.", "predictor."),
    (r"(?=conv1\.|bn1\.|layer\d\.|fc\.)", "backbone."),  # a ResNet alone
)
"""What the names in a file begin with, and what with instead; each is tried, in order."""

_CLASSIFIERS = ("backbone.fc.", "classifier.", "online_classifier.")
"""What SimSiam has no place for: the classes of a supervised network or of a monitor."""

_KINDS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def load_pytorch_weights(model: keras.Model, path: str | pathlib.Path) -> None:
    """Gives a model the weights of a PyTorch checkpoint.

    The authors' checkpoints, torchvision's ResNets, and SimSiam models of lightly and solo-learn
    are told apart by their names. Every weight of the model must be in the file and every weight
    of the file in the model, but for classifiers, which are left out. Nothing is changed where
    that is not so.

    Args:
        model: A `SimSiam`, or a backbone, which takes the backbone of a file that has more.
        path: See `read_pytorch`.

    Raises:
        InputError: If the file cannot be read, or a weight is missing, left over or of another
            shape; the message has the names.
    """
    assign(model, read_pytorch(path), path)


def read_pytorch(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """Reads a checkpoint, by the names of this module and in PyTorch's layout of axes.

    Args:
        path: A ``.safetensors``, or what `torch.save` wrote: a state dict, or a checkpoint with
            one under "state_dict" or "model". It is loaded without running code in it.

    Raises:
        InputError: If there is no such file, it cannot be read, or it holds no ResNet.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"checkpoint '{path}' does not exist")
    found = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    weights = _named(found)
    if not any(name.startswith("backbone.conv1.") for name in weights):
        shown = ", ".join(list(found)[:3]) or "none"
        raise InputError(
            f"checkpoint '{path}' holds no ResNet: its names are {shown}, …; known are the names "
            "of torchvision, of the authors, and of lightly's and solo-learn's SimSiam"
        )
    return weights


def parts_of(weights: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Which of backbone, projector and predictor a checkpoint has."""
    return tuple(p for p in PARTS if any(name.startswith(f"{p}.") for name in weights))


def build(weights: dict[str, np.ndarray], backbone: str) -> keras.Model:
    """The network that a checkpoint is of, with its weights.

    Args:
        weights: As `read_pytorch` gives them.
        backbone: "resnet18", "resnet34" or "resnet50". Stem, width and heads are as in the
            checkpoint.

    Returns:
        A `SimSiam` where the checkpoint has both heads, else the backbone alone.
    """
    check_choice("backbone", backbone, BACKBONES)
    width, _, kernel, _ = weights["backbone.conv1.weight"].shape
    model = BACKBONES[backbone](width=width, stem="imagenet" if kernel == 7 else "cifar")
    if parts_of(weights) == PARTS:
        projector = _head(weights, "projector")
        dim = projector["output_dim"]
        predictor = _head(weights, "predictor")
        del predictor["output_dim"]
        model = SimSiam(
            model,
            heads.projector(model.output_shape[1], **projector),
            heads.predictor(dim, **predictor),
        )
    assign(model, weights, "the checkpoint")
    return model


def assign(model: keras.Model, weights: dict[str, np.ndarray], source: str | pathlib.Path) -> None:
    """Gives a model weights that were read; see `load_pytorch_weights`."""
    parts = PARTS if isinstance(model, SimSiam) else PARTS[:1]
    variables = dict(named_variables(model))
    given = {n: v for n, v in weights.items() if n.startswith(tuple(f"{p}." for p in parts))}
    wrong = {
        "missing": variables.keys() - given.keys(),
        "left over": given.keys() - variables.keys(),
        "of another shape": {
            f"{name} {to_keras(given[name]).shape} for {tuple(variable.shape)}"
            for name, variable in variables.items()
            if name in given and to_keras(given[name]).shape != tuple(variable.shape)
        },
    }
    if any(wrong.values()):
        found = "; ".join(f"{what}: {_some(names)}" for what, names in wrong.items() if names)
        hint = ""
        if isinstance(model, SimSiam) and parts_of(weights) == PARTS[:1]:
            hint = ". It has a backbone only: load it into model.backbone"
        raise InputError(f"the weights of '{source}' do not fit {model.name}: {found}{hint}")
    for name, variable in variables.items():
        variable.assign(to_keras(given[name]))


def export_pytorch(
    model: keras.Model, path: str | pathlib.Path, layout: str = "torchvision"
) -> None:
    """Writes a model's weights for PyTorch.

    Args:
        model: A `SimSiam`, or a backbone.
        path: The file to write; a ``.safetensors``, which needs no torch, or any other name for
            what `torch.load` reads. It is written beside its place and then renamed.
        layout: "torchvision" for the backbone's state dict, which
            ``torchvision.models.resnet50`` loads once its ``fc`` is an ``nn.Identity()``;
            "authors" for all of SimSiam as in the authors' checkpoints, which their
            ``main_lincls.py`` reads.

    Raises:
        InputError: If there is no such layout, or the model has no heads for the authors'.
    """
    check_choice("layout", layout, LAYOUTS)
    if layout == "authors" and not isinstance(model, SimSiam):
        raise InputError("the authors' layout is of a whole SimSiam; this is a backbone alone")
    weights = {name: _to_torch(v) for name, v in named_variables(model)}
    for name in [n for n in weights if n.endswith("running_mean")]:
        norm = name.removesuffix("running_mean")
        weights[f"{norm}num_batches_tracked"] = np.array(0, np.int64)
        head, _, number = norm[:-1].partition(".")
        bias = f"{head}.{int(number) - 1}.bias" if number.isdigit() else norm
        if head == "projector" and f"{norm}weight" not in weights:
            # Where the authors' last BatchNorm has no offset, the layer before has a bias of no
            # effect.
            weights[bias] = np.zeros_like(weights[name])
    if layout == "torchvision":
        given = {
            n.removeprefix("backbone."): v for n, v in weights.items() if n.startswith("backbone.")
        }
    else:
        there = {"projector.": "encoder.fc.", "backbone.": "encoder."}
        given = {
            "module." + re.sub("|".join(there), lambda m: there[m[0]], n, count=1): v
            for n, v in weights.items()
        }
    _write(pathlib.Path(path), given, layout)


def named_variables(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Every weight of a `SimSiam` or a backbone, with its name."""
    of = (
        {part: getattr(model, part) for part in PARTS}
        if isinstance(model, SimSiam)
        else {"backbone": model}
    )
    for part, network in of.items():
        for position, layer in enumerate(network.layers[1:]):  # the first is the input
            name = layer.name if part == "backbone" else position
            for variable in layer.weights:
                kind = variable.name.split("/")[-1].split(":")[0]
                yield f"{part}.{name}.{_KINDS[kind]}", variable


def to_keras(array: np.ndarray) -> np.ndarray:
    """PyTorch's order of axes to Keras's: OIHW convolutions, [out, in] linear layers."""
    return np.transpose(array, {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[array.ndim])


def _to_torch(variable) -> np.ndarray:
    array = np.asarray(variable, np.float32)
    order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[array.ndim]
    return np.ascontiguousarray(np.transpose(array, order))


def _named(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights by the names of this module."""
    weights = {}
    for name, array in found.items():
        for pattern, replacement in _RENAMED:
            name = re.sub(f"^{pattern}", replacement, name)
        if not name.endswith("num_batches_tracked"):
            weights[name] = array
    # lightly's backbone is the list of a ResNet's children: convolution, BatchNorm, four stages.
    numbers = sorted({int(m[1]) for n in weights if (m := re.match(r"backbone\.(\d+)\.", n))})
    if len(numbers) == 6:
        children = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
        names = dict(zip(map(str, numbers), children, strict=True))
        weights = {
            re.sub(r"^backbone\.(\d+)\.", lambda m: f"backbone.{names[m[1]]}.", name): array
            for name, array in weights.items()
        }
    weights = {n: v for n, v in weights.items() if not n.startswith(_CLASSIFIERS)}
    # A bias before BatchNorm has no effect but on the running mean, and no layer here has one.
    for name in [n for n in weights if re.match(r"(projector|predictor)\.\d+\.bias$", n)]:
        head, number, _ = name.split(".")
        mean = f"{head}.{int(number) + 1}.running_mean"
        if weights.get(f"{head}.{number}.weight", np.empty(0)).ndim == 2 and mean in weights:
            weights[mean] = weights[mean] - weights.pop(name)
    return weights


def _head(weights: dict[str, np.ndarray], part: str) -> dict:
    """The arguments that make a head of the same layers."""
    numbers = sorted({int(n.split(".")[1]) for n in weights if n.startswith(f"{part}.")})
    dense = [i for i in numbers if weights.get(f"{part}.{i}.weight", np.empty(0)).ndim == 2]
    normed = [f"{part}.{i + 1}.running_mean" in weights for i in dense]
    dims = [len(weights[f"{part}.{i}.weight"]) for i in dense]
    return {
        "output_dim": dims[-1],
        "hidden_dim": dims[0],
        "layers": len(dense),
        "batch_norm": "all" if normed[-1] else "hidden" if any(normed) else "none",
    }


def _some(names: set[str], shown: int = 10) -> str:
    listed = ", ".join(sorted(names)[:shown])
    return listed if len(names) <= shown else f"{listed}, … ({len(names)} in all)"


def _read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    torch = _extra("torch")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as e:
        reason = str(e).strip().split("\n")[0]
        raise InputError(
            f"checkpoint '{path}' cannot be read ({reason}). Only weights are read from it; where "
            "it holds other objects, save its state_dict alone"
        ) from e
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict):
        raise InputError(f"checkpoint '{path}' holds a {type(found).__name__}, not a state dict")
    return {n: v.float().numpy() for n, v in found.items() if isinstance(v, torch.Tensor)}


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    safetensors = _extra("safetensors.numpy")
    try:
        return {n: v.astype(np.float32) for n, v in safetensors.load_file(path).items()}
    except Exception as e:  # its own class of error is not among its public names
        raise InputError(f"checkpoint '{path}' cannot be read: {e}") from e


def _write(path: pathlib.Path, weights: dict[str, np.ndarray], layout: str) -> None:
    aside = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        _extra("safetensors.numpy").save_file(weights, aside)
    else:
        torch = _extra("torch")
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        torch.save(tensors if layout == "torchvision" else {"state_dict": tensors}, aside)
    os.replace(aside, path)


def _extra(module: str):
    try:
        return importlib.import_module(module)
    except ImportError as e:
        raise InputError(
            f"PyTorch's files need {module.split('.')[0]}: pip install 'keras-simsiam[torch]'"
        ) from e
