"""Reads and writes the files that hold PyTorch's weights: ``.safetensors``, and `torch.save`'s."""

from __future__ import annotations

import importlib
import pathlib
import pickle

import numpy as np

from keras_simsiam.errors import InputError
from keras_simsiam.files import written_atomically


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name, in float32. No code in the file is run.

    Raises:
        InputError: If the file does not exist, cannot be read, or holds no state dict.
    """
    if not path.is_file():
        raise InputError(f"checkpoint '{path}' does not exist")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)


def write(path: pathlib.Path, weights: dict[str, np.ndarray], key: str | None = None) -> None:
    """Writes arrays atomically: as safetensors if `path` says so, else as `torch.save` does.

    Args:
        path: The file.
        weights: The arrays by name.
        key: If given, what `torch.save` writes has the state dict under this key.
    """
    with written_atomically(path) as partial:
        if path.suffix == ".safetensors":
            _extra("safetensors.numpy").save_file(weights, partial)
        else:
            torch = _extra("torch")
            tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
            torch.save(tensors if key is None else {key: tensors}, partial)


def _read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    torch = _extra("torch")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as e:
        reason = str(e).strip().split("\n")[0]
        raise InputError(
            f"cannot read checkpoint '{path}' ({reason}). Only weights can be read; if it holds "
            "other objects, save its state_dict alone"
        ) from e
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict):
        raise InputError(f"checkpoint '{path}' must hold a state dict; got {type(found).__name__}")
    return {n: v.float().numpy() for n, v in found.items() if isinstance(v, torch.Tensor)}


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    safetensors = _extra("safetensors.numpy")
    try:
        return {n: v.astype(np.float32) for n, v in safetensors.load_file(path).items()}
    except Exception as e:  # its error class is not public
        raise InputError(f"cannot read checkpoint '{path}': {e}") from e


def _extra(module: str):
    try:
        return importlib.import_module(module)
    except ImportError as e:
        raise InputError(
            f"PyTorch's files need {module.split('.')[0]}: pip install 'keras-simsiam[torch]'"
        ) from e
