"""Draws the features of an encoder: their spectrum, a confusion matrix and a map."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from keras_simsiam.arrays import as_features, as_labels
from keras_simsiam.errors import InputError, shown
from keras_simsiam.fields import checks_arguments
from keras_simsiam.plots.style import (
    BLUE,
    check_numbers,
    finish,
    one_panel,
    save,
    series_styles,
    text,
)

_NAMED = 40
"""The most classes of a confusion matrix that is drawn whole, with their names."""

_SHARE = "share of the true class (%)"

_PAIRS = 30
"""How many pairs of classes are drawn where there are more classes than that."""


@checks_arguments
def spectrum(spectra: Mapping[str, np.ndarray], path: str | os.PathLike) -> None:
    """Draws the singular values of features, each divided by the largest.

    Args:
        spectra: Singular values, float ``[K]`` and largest first, by name.
        path: The PNG to write.

    Raises:
        InputError: If an argument is invalid.
    """
    check_numbers("spectra", spectra)
    for name, values in spectra.items():
        if not len(values):
            raise InputError(f"each of spectra must have a value; got none of {shown(name)}")
    figure, axis = one_panel(5.2, 3.6)
    for (name, values), style in zip(spectra.items(), series_styles(len(spectra)), strict=True):
        shares = np.maximum(values / max(values[0], np.finfo(float).tiny), 1e-8)
        if len(shares) > 1:
            style["marker"] = ""
        axis.loglog(np.arange(1, len(shares) + 1), shares, **style, label=name)
    axis.set(xlabel="dimension, by size", ylabel="singular value / largest")
    finish(axis)
    save(figure, path)


@checks_arguments
def confusion(
    counts: np.ndarray, names: Sequence[str], path: str | os.PathLike, title: str
) -> None:
    """Draws a confusion matrix, each row divided by its number of images.

    Of more than 40 classes, whose matrix could not be read, the pairs that are confused most often
    are drawn as bars.

    Args:
        counts: int ``[C, C]``, numbers of images by true class (row) and predicted class (column).
        names: Names of the classes.
        path: The PNG to write.
        title: Title of the figure.

    Raises:
        InputError: If an argument is invalid.
    """
    sides = (len(names), len(names))
    if getattr(counts, "shape", None) != sides or counts.dtype.kind not in "iu":
        raise InputError(
            f"counts must be integers [{sides[0]}, {sides[1]}], like the names; got {shown(counts)}"
        )
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    labels = [text(name) for name in names]
    if len(names) > _NAMED:
        figure = _most_confused(100 * shares, labels, title)
    else:
        side = 2.4 + 0.24 * len(names)
        figure, axis = one_panel(side + 1, side, title)
        image = axis.imshow(100 * shares, cmap="cividis", vmin=0, vmax=100, interpolation="nearest")
        axis.set_xticks(range(len(names)), labels, rotation=90, fontsize=7)
        axis.set_yticks(range(len(names)), labels, fontsize=7)
        axis.set(xlabel="predicted class", ylabel="true class")
        figure.colorbar(image, ax=axis, label=_SHARE, shrink=0.8)
    save(figure, path)


def _most_confused(shares: np.ndarray, labels: Sequence[str], title: str) -> Figure:
    """Bars of the pairs of classes that are confused most often, the first at the top."""
    wrong = np.where(np.eye(len(labels), dtype=bool), 0, shares)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    pairs = [divmod(int(i), len(labels)) for i in order]
    figure, axis = one_panel(8, 0.22 * len(pairs) + 1.2, title)
    axis.barh(range(len(pairs)), [wrong[pair] for pair in pairs], color=BLUE)
    named = [f"{labels[true]} as {labels[predicted]}" for true, predicted in pairs]
    axis.set_yticks(range(len(pairs)), named, fontsize=7)
    axis.set(xlabel=_SHARE, ylim=(len(pairs) - 0.5, -0.5))
    return figure


@checks_arguments
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
        InputError: If points or labels have another shape or type, a label has no name, or an
            argument is invalid.
    """
    points = as_features(points, "points")
    if points.shape[1] != 2:
        raise InputError(f"points must be numbers [N, 2]; got {shown(points)}")
    labels = as_labels(labels, len(points))
    if labels.max() >= len(names):
        raise InputError(f"names must be of {labels.max() + 1} classes or more; got {len(names)}")
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
