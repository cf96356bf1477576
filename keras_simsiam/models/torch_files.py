"""Reads and writes the files that hold PyTorch's weights: ``.safetensors``, and `torch.save`'s."""

from __future__ import annotations

import importlib
import pathlib
import pickle
import re
import zipfile
from typing import Any

import numpy as np

from keras_simsiam.errors import InputError, shown
from keras_simsiam.files import written_atomically


def read(path: pathlib.Path) -> dict[str, Any]:
    """The tensors of a file by name, as the file has them; `to_array` converts one.

    No code in the file is run, and no more memory is taken than the file has.

    Raises:
        InputError: If the file does not exist, cannot be read, or holds no state dict.
    """
    if not path.is_file():
        what = "must be a file" if path.exists() else "does not exist"
        raise InputError(f"checkpoint '{path}' {what}")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)


def to_array(name: str, tensor: Any) -> np.ndarray:
    """A tensor from `read` in float32.

    Raises:
        InputError: If it is not a dense tensor of finite floating-point numbers.
    """
    if getattr(tensor, "is_nested", False):
        raise InputError(f"weight '{name}' must be a dense tensor; got a nested one")
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in ("float16", "bfloat16", "float32", "float64"):
        raise InputError(f"weight '{name}' must be of float16, 32 or 64, or bfloat16; got {kind}")
    if not 1 <= tensor.ndim <= 4 or 0 in tensor.shape:
        raise InputError(
            f"weight '{name}' must have 1 to 4 dimensions, none of them 0; got {shown(tensor)}"
        )
    if isinstance(tensor, np.ndarray):
        with np.errstate(over="ignore"):  # what it makes infinite is named below
            array = tensor.astype(np.float32)
    else:
        if str(tensor.layout) != "torch.strided" or tensor.device.type != "cpu":
            raise InputError(
                f"weight '{name}' must be a dense tensor with values; got {tensor.layout} on "
                f"{tensor.device.type}"
            )
        array = tensor.detach().float().numpy()
    if not np.isfinite(array).all():
        raise InputError(f"weight '{name}' must be finite in float32")
    return array


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


def _read_torch(path: pathlib.Path) -> dict[str, Any]:
    torch = _extra("torch")
    try:
        _check_zip(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # damaged ones raise anything, AssertionError and IndexError included
        raise InputError(
            f"cannot read checkpoint '{path}' ({_reason(e)}). Only weights can be read; if it "
            "holds other objects, save its state_dict alone"
        ) from e
    for key in ("state_dict", "model", "teacher", "online_network_state_dict"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict):
        raise InputError(f"checkpoint '{path}' must hold a state dict; got {type(found).__name__}")
    tensors = {
        name: tensor
        for name, tensor in found.items()
        if isinstance(name, str) and isinstance(tensor, torch.Tensor)
    }
    # A tensor may repeat what it holds: strides of 0 make terabytes of a few bytes.
    most = path.stat().st_size
    for name, tensor in tensors.items():
        if tensor.is_nested or tensor.device.type != "cpu":
            continue  # `to_array` refuses it
        if tensor.numel() * tensor.element_size() > most:
            raise InputError(
                f"weight '{name}' of checkpoint '{path}' has {tensor.numel():,} values, more than "
                "the file"
            )
    return tensors


def _check_zip(path: pathlib.Path) -> None:
    """Raises an exception if a zip that torch would read has damaged or compressed members."""
    if not zipfile.is_zipfile(path):
        return  # before torch 1.6
    with zipfile.ZipFile(path) as file:
        members = file.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("its members are compressed; torch.save does not compress them")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("its members have more bytes than the file")
        damaged = file.testzip()  # torch does not compare all checksums
    if damaged is not None:
        raise ValueError(f"'{damaged}' in it is damaged")


def _reason(error: Exception) -> str:
    """What torch says, in short and without its advice to read the file in an unsafe way."""
    said = str(error).strip()
    if isinstance(error, pickle.UnpicklingError):
        found = re.search(r"Unsupported \w+: GLOBAL [\w.]+|WeightsUnpickler error: [^\n.]+", said)
        return found[0] if found else "it is no checkpoint, or damaged"
    first = re.split(r"\n|\. ", said)[0]
    return f"{type(error).__name__}: {first[:150]}" if first else type(error).__name__


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    safetensors = _extra("safetensors.numpy")
    try:
        return safetensors.load_file(path)
    except Exception as e:  # its error class is not public
        raise InputError(f"cannot read checkpoint '{path}': {_reason(e)}") from e


def _extra(module: str):
    try:
        return importlib.import_module(module)
    except ImportError as e:
        raise InputError(
            f"PyTorch's files need {module.split('.')[0]}: pip install 'keras-simsiam[torch]'"
        ) from e
