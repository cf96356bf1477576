"""Draws images: the views that a network sees, and nearest neighbors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from keras_simsiam.arrays import as_rgb, check_images, check_views
from keras_simsiam.errors import InputError, shown
from keras_simsiam.fields import Count, checks_arguments
from keras_simsiam.plots.style import GREEN, ORANGE, save
from keras_simsiam.preprocessing import Preprocessing

_COLUMNS = 8


@checks_arguments
def views(
    batch: Sequence[np.ndarray],
    path: str | os.PathLike,
    preprocessing: Preprocessing,
    images: Count = 24,
) -> None:
    """Draws the views of images as the network sees them, but without normalization.

    Args:
        batch: For each view float32 ``[B, H, W, C]``, normalized. Views may differ in size.
        path: The PNG to write.
        preprocessing: Has the mean and std of the normalization.
        images: The most images to draw.

    Raises:
        InputError: If an argument is invalid.
    """
    for i, view in enumerate(batch, start=1):
        check_views(view, f"view x{i}", preprocessing.channels)
    if not batch or 0 in {len(view) for view in batch} or len({len(v) for v in batch}) > 1:
        raise InputError(f"batch must be views of the same images; got {shown(batch)}")
    images = min(images, len(batch[0]))
    columns = min(_COLUMNS, images)
    blocks = -(-images // columns)
    rows = len(batch) * blocks
    figure, axes = _grid(rows, columns, (1.05 * columns + 0.5, 1.15 * rows + 0.4))
    for i in range(images):
        block, column = divmod(i, columns)
        for j, view in enumerate(batch):
            pixels = np.asarray(view[i], np.float32) * preprocessing.std + preprocessing.mean
            axes[block * len(batch) + j, column].imshow(as_rgb(np.clip(pixels, 0, 1)))
    for row in range(rows):
        axes[row, 0].set_ylabel(f"x{row % len(batch) + 1}")
    figure.suptitle("Views of the same image, one above the other")
    save(figure, path)


@checks_arguments
def neighbors(
    queries: np.ndarray, found: np.ndarray, same_class: np.ndarray | None, path: str | os.PathLike
) -> None:
    """Draws queries, each followed by its nearest neighbors.

    Args:
        queries: uint8 ``[Q, H, W, 3]``.
        found: uint8 ``[Q, k, H, W, 3]``, nearest first.
        same_class: bool ``[Q, k]``, shown as green and orange frames; no frames if None.
        path: The PNG to write.

    Raises:
        InputError: If the queries are not uint8 images, or another argument is invalid.
    """
    check_images(queries, "queries")
    shape: Any = getattr(found, "shape", ())
    if len(shape) != 5 or shape[0] != len(queries) or 0 in shape:
        raise InputError(
            f"found must be uint8 [Q, k, H, W, 3], k images for each query; got {shown(found)}"
        )
    check_images(found[0], "found")
    if same_class is not None and getattr(same_class, "shape", None) != shape[:2]:
        raise InputError(
            f"same_class must be bool [{shape[0]}, {shape[1]}], like found; got {shown(same_class)}"
        )
    rows, columns = found.shape[:2]
    figure, axes = _grid(rows, columns + 1, (0.8 * columns + 1.2, 0.8 * rows + 0.5))
    for row in range(rows):
        axes[row, 0].imshow(queries[row])
        for column, axis in enumerate(axes[row, 1:]):
            axis.imshow(found[row, column])
            if same_class is not None:
                color = GREEN if same_class[row, column] else ORANGE
                axis.spines[:].set(visible=True, linewidth=2.5, color=color)
    axes[0, 0].set_title("query", fontsize=9)
    frames = "" if same_class is None else " (green: same class)"
    figure.suptitle(f"Nearest training images by cosine similarity{frames}", fontsize=10)
    save(figure, path)


def _grid(rows: int, columns: int, inches: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    """A figure, and its axes ``[rows, columns]``, for an image each, without ticks and frames."""
    figure = Figure(figsize=inches, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure, axes
