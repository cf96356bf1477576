"""Checks of images, labels and features, used wherever they enter the package.

Nothing here imports TensorFlow, but its tensors are accepted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_simsiam.errors import InputError, shown

MAX_CLASSES = 1_000_000
"""Labels must be below this; a larger number is hardly that of a class."""


def check_images(images: Any, name: str = "images", channels: int | None = 3) -> None:
    """Raises InputError unless images are a uint8 array or tensor ``[N, H, W, C]``.

    In a graph, dimensions that are not known count as right.

    Args:
        images: The images.
        name: Their name in messages.
        channels: C; None for any number.
    """
    shape = _shape(images)
    right = f"uint8 [N, H, W, {channels or 'C'}]"
    if _dtype(images) != "uint8" or not _are_images(shape, channels):
        raise InputError(f"{name} must be {right}; got {_shown(images)}")
    if shape is not None and 0 in shape:
        raise InputError(f"{name} must be {right}, with no side of 0; got {_shown(images)}")


def check_views(views: Any, name: str = "views", channels: int = 3) -> None:
    """Raises InputError unless views are a floating-point array or tensor ``[B, H, W, C]``.

    Args:
        views: The views.
        name: Their name in messages.
        channels: C.
    """
    if "float" not in _dtype(views) or not _are_images(_shape(views), channels):
        raise InputError(
            f"{name} must be normalized floating-point images [B, H, W, {channels}]; "
            f"got {_shown(views)}"
        )


def as_rgb(images: np.ndarray) -> np.ndarray:
    """Images ``[..., C]`` to look at, ``[..., 3]``: the first three channels, or the first."""
    channels = images.shape[-1]
    return images[..., :3] if channels >= 3 else np.repeat(images[..., :1], 3, axis=-1)


def as_labels(labels: Any, count: int, name: str = "labels") -> np.ndarray:
    """Labels as class numbers, int64 ``[N]``.

    Args:
        labels: Whole numbers of any type, ``[N]`` or ``[N, 1]``.
        count: N, the number of images.
        name: Their name in messages.

    Raises:
        InputError: If they are anything else, such as one-hot vectors or names.
    """
    array = _array(labels)
    flat = array
    if array is not None and array.ndim == 2 and array.shape[1] == 1:
        flat = array[:, 0]
    if flat is None or flat.dtype.kind not in "iuf" or flat.shape != (count,):
        raise InputError(
            f"{name} must be class numbers, integers [{count}], one for each image; "
            f"got {shown(labels if array is None or array.dtype.kind == 'O' else array)}"
        )
    wrong = np.flatnonzero(~((flat >= 0) & (flat < MAX_CLASSES) & (flat == np.floor(flat))))
    if len(wrong):
        raise InputError(
            f"{name} must be class numbers from 0 to {MAX_CLASSES - 1:,}; "
            f"got {shown(flat[wrong[0]])} at position {wrong[0]}"
        )
    return flat.astype(np.int64)


def as_features(features: Any, name: str = "features") -> np.ndarray:
    """Features as float32 ``[N, D]``.

    Args:
        features: Finite numbers ``[N, D]``, N and D at least 1.
        name: Their name in messages.

    Raises:
        InputError: If they are anything else.
    """
    array = _array(features)
    if array is not None and array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array is None or array.dtype.kind not in "iuf" or array.ndim != 2 or not array.size:
        raise InputError(
            f"{name} must be numbers [N, D], N and D at least 1; "
            f"got {shown(features if array is None else array)}"
        )
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    place = first_not_finite(array)
    if place is not None:
        row, column = place
        raise InputError(
            f"{name} must be finite; got {shown(array[place])} at position {row}, {column}"
        )
    return array


def first_not_finite(features: np.ndarray) -> tuple[int, int] | None:
    """The position of the first number ``[N, D]`` that is not finite; None if all are."""
    rows = max(1, 2**22 // features.shape[1])  # all at once would take a byte for each number
    for start in range(0, len(features), rows):
        wrong = np.argwhere(~np.isfinite(features[start : start + rows]))
        if len(wrong):
            return start + int(wrong[0, 0]), int(wrong[0, 1])
    return None


def _array(values: Any) -> np.ndarray | None:
    """A list or tensor as an array; None if it cannot be one."""
    try:
        return np.asarray(values)
    except (ValueError, TypeError, NotImplementedError):  # ragged, or a tensor of a graph
        return None


def _dtype(values: Any) -> str:
    dtype = getattr(values, "dtype", None)
    return str(getattr(dtype, "name", dtype))


def _are_images(shape: list[int | None] | None, channels: int | None) -> bool:
    return shape is None or (len(shape) == 4 and (channels is None or shape[3] in (channels, None)))


def _shown(images: Any) -> str:
    return shown(images) if hasattr(images, "dtype") else type(images).__name__


def _shape(values: Any) -> list[int | None] | None:
    """The shape as far as it is known; None if not even the rank is."""
    try:
        return [*getattr(values, "shape", ())]
    except ValueError:
        return None
