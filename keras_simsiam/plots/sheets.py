"""Draws images of a collection side by side, and how many duplicates a threshold finds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from keras_simsiam.arrays import check_images
from keras_simsiam.errors import InputError, shown
from keras_simsiam.fields import checks_arguments
from keras_simsiam.plots.style import check_numbers, finish, one_panel, save, series_styles, text

_GAP, _CAPTION = 0.08, 0.14
"""Space around an image, and below it for its caption, as a share of its side."""

_INCHES = 0.9
"""Side of an image."""


@checks_arguments
def sheet(
    pictures: np.ndarray,
    captions: Sequence[str],
    columns: int,
    path: str | os.PathLike,
    title: str,
) -> None:
    """Draws images in rows, each with a caption.

    Args:
        pictures: uint8 ``[N, S, S, 3]``, row by row.
        captions: One for each.
        columns: Images in a row.
        path: The PNG to write.
        title: Title of the figure.

    Raises:
        InputError: If an argument is invalid.
    """
    check_images(pictures, "pictures")
    if len(captions) != len(pictures):
        raise InputError(f"captions must be {len(pictures)}, like pictures; got {len(captions)}")
    if columns < 1:
        raise InputError(f"columns must be at least 1; got {columns}")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = columns * (1 + _GAP), rows * (1 + _GAP + _CAPTION)
    figure = Figure(figsize=(max(_INCHES * width, 4), _INCHES * height + 0.4), layout="constrained")
    axis = figure.subplots()
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(i, columns)
        x, y = column * (1 + _GAP), row * (1 + _GAP + _CAPTION)
        axis.imshow(picture, extent=(x, x + 1, y + 1, y))
        axis.text(x, y + 1.05, text(caption, 22), fontsize=5, va="top")
    axis.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axis.axis("off")
    axis.set_title(text(title, 80), fontsize=9)
    save(figure, path)


@checks_arguments
def recall(pairs: np.ndarray, recalls: Mapping[str, np.ndarray], path: str | os.PathLike) -> None:
    """Draws which share of known duplicates is found, over how many pairs are.

    Args:
        pairs: int ``[T]``, the number of pairs at each threshold.
        recalls: float ``[T]``, in [0, 1], by kind of duplicate.
        path: The PNG to write.

    Raises:
        InputError: If an argument is invalid.
    """
    check_numbers("recalls", recalls)
    shape: Any = getattr(pairs, "shape", None)
    if not recalls or any(np.shape(values) != shape for values in recalls.values()):
        raise InputError(f"recalls must have a value for each of pairs; got {shown(dict(recalls))}")
    figure, axis = one_panel(5.6, 3.8, "Found of variants made of these images")
    for (name, values), style in zip(recalls.items(), series_styles(len(recalls)), strict=True):
        style["marker"] = ""
        axis.plot(np.maximum(pairs, 0.5), 100 * values, **style, label=text(name))
    axis.set(xscale="log", xlabel="pairs in the collection", ylabel="variants found (%)")
    finish(axis)
    save(figure, path)
