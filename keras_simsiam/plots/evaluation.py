"""Figures of what an encoder has learnt: classes mistaken, neighbours, a map of the features."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from keras_simsiam.plots.style import GREEN, ORANGE, save

_NAMED = 40
"""More classes than this are not named along the sides of a confusion matrix."""


def confusion(
    counts: np.ndarray, names: Sequence[str], path: str | pathlib.Path, title: str
) -> None:
    """Draws a confusion matrix, each true class as parts of its own images.

    Args:
        counts: int ``[C, C]``, images of true class (row) and predicted class (column).
        names: Of the classes.
        path: The PNG to write.
        title: Above it.
    """
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    named = len(names) <= _NAMED
    side = 2.4 + (0.24 * len(names) if named else 6)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axis = figure.subplots()
    axis.set_title(title, fontsize=10)
    image = axis.imshow(100 * shares, cmap="cividis", vmin=0, vmax=100, interpolation="nearest")
    if named:
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.set(xlabel="predicted class", ylabel="true class")
    figure.colorbar(image, ax=axis, label="part of the true class (%)", shrink=0.8)
    save(figure, path)


def neighbours(
    queries: np.ndarray,
    found: np.ndarray,
    same_class: np.ndarray | None,
    path: str | pathlib.Path,
) -> None:
    """Draws queries, each with its nearest neighbours beside it.

    Args:
        queries: uint8 ``[Q, H, W, 3]``.
        found: uint8 ``[Q, k, H, W, 3]``, nearest first.
        same_class: bool ``[Q, k]``, drawn as a green or an orange frame; none where None.
        path: The PNG to write.
    """
    rows, columns = found.shape[:2]
    figure = Figure(figsize=(0.8 * columns + 1.2, 0.8 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns + 1, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for row in range(rows):
        axes[row, 0].imshow(queries[row])
        for column in range(columns):
            axis = axes[row, column + 1]
            axis.imshow(found[row, column])
            if same_class is not None:
                axis.spines[:].set(
                    visible=True,
                    linewidth=2.5,
                    color=GREEN if same_class[row, column] else ORANGE,
                )
    axes[0, 0].set_title("query", fontsize=9)
    frames = "" if same_class is None else " (green: of the same class)"
    figure.suptitle(f"Nearest training images by cosine{frames}", fontsize=10)
    save(figure, path)


def scatter(
    points: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    path: str | pathlib.Path,
    title: str,
) -> None:
    """Draws features on a plane, a dot an image, coloured by class.

    Args:
        points: float ``[N, 2]``.
        labels: int ``[N]``, numbers into `names`.
        names: Of the classes; they are explained beside the map where they are no more than 20.
        path: The PNG to write.
        title: Above it.
    """
    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    axis = figure.subplots()
    axis.set_title(title, fontsize=10)
    axis.set(xticks=[], yticks=[])
    colors = matplotlib.colormaps["tab20" if len(names) <= 20 else "turbo"]
    for label, name in enumerate(names):
        here = points[labels == label]
        color = colors(label if len(names) <= 20 else label / (len(names) - 1))
        axis.plot(*here.T, "o", color=color, markersize=3, alpha=0.8, linewidth=0, label=name)
    if len(names) <= 20:
        figure.legend(loc="outside right upper", fontsize=8, markerscale=2)
    save(figure, path)
