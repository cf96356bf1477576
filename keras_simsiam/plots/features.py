"""Draws the features of an encoder: their spectrum, a confusion matrix and a map."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np

from keras_simsiam.arrays import as_features, as_labels
from keras_simsiam.plots.style import finish, one_panel, save, series_styles, text

_NAMED = 40
"""The most classes whose names are written beside a confusion matrix."""


def spectrum(spectra: Mapping[str, np.ndarray], path: str | os.PathLike) -> None:
    """Draws the singular values of features, each divided by the largest.

    Args:
        spectra: Singular values, float ``[K]`` and largest first, by name.
        path: The PNG to write.
    """
    figure, axis = one_panel(5.2, 3.6)
    for (name, values), style in zip(spectra.items(), series_styles(len(spectra)), strict=True):
        shares = np.maximum(values / max(values[0], np.finfo(float).tiny), 1e-8)
        if len(shares) > 1:
            style["marker"] = ""
        axis.loglog(np.arange(1, len(shares) + 1), shares, **style, label=name)
    axis.set(xlabel="dimension, by size", ylabel="singular value / largest")
    finish(axis)
    save(figure, path)


def confusion(
    counts: np.ndarray, names: Sequence[str], path: str | os.PathLike, title: str
) -> None:
    """Draws a confusion matrix, each row divided by its number of images.

    Args:
        counts: int ``[C, C]``, numbers of images by true class (row) and predicted class (column).
        names: Names of the classes.
        path: The PNG to write.
        title: Title of the figure.
    """
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    named = len(names) <= _NAMED
    side = 2.4 + (0.24 * len(names) if named else 6)
    figure, axis = one_panel(side + 1, side, title)
    image = axis.imshow(100 * shares, cmap="cividis", vmin=0, vmax=100, interpolation="nearest")
    if named:
        shown = [text(name) for name in names]
        axis.set_xticks(range(len(names)), shown, rotation=90, fontsize=7)
        axis.set_yticks(range(len(names)), shown, fontsize=7)
    axis.set(xlabel="predicted class", ylabel="true class")
    figure.colorbar(image, ax=axis, label="share of the true class (%)", shrink=0.8)
    save(figure, path)


def scatter(
    points: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    path: str | os.PathLike,
    title: str,
) -> None:
    """Draws features as points in the plane, colored by class.

    Args:
        points: float ``[N, 2]``.
        labels: Class numbers ``[N]``, indices into `names`.
        names: Names of the classes; the legend lists them if there are at most 20.
        path: The PNG to write.
        title: Title of the figure.

    Raises:
        InputError: If points or labels have another shape or type.
    """
    points = as_features(points, "points")
    labels = as_labels(labels, len(points))
    figure, axis = one_panel(7.2, 5.2, title)
    axis.set(xticks=[], yticks=[])
    few = len(names) <= 20
    colors = matplotlib.colormaps["tab20" if few else "turbo"]
    for label, name in enumerate(names):
        color = colors(label if few else label / (len(names) - 1))
        x, y = points[labels == label].T
        axis.plot(x, y, "o", color=color, markersize=3, alpha=0.8, label=text(name))
    if few:
        figure.legend(loc="outside right upper", fontsize=8, markerscale=2)
    save(figure, path)
