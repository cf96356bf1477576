"""Bars with a dot for each measurement."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_simsiam import metrics
from keras_simsiam.plots.style import BLUE, ORANGE, axis_label, draw_levels, panel, save


def compared_bars(
    values: Mapping[str, Sequence[float | None]],
    path: str | os.PathLike,
    title: str,
    baselines: Mapping[str, float | None] | None = None,
    metric: str = "knn_top1",
) -> None:
    """Draws a metric of variants: a bar at the mean over seeds, a dot a seed.

    Args:
        values: For each variant what its seeds reached; None for a seed whose training diverged,
            which the bar says.
        path: The PNG to write.
        title: Of the figure.
        baselines: To draw as lines; see `curves`.
        metric: Key of the metric.
    """
    known = {
        name: [panel(metric).scale * v for v in found if v is not None]
        for name, found in values.items()
    }
    figure = Figure(figsize=(6.4, _height(len(values)) + 0.2), layout="constrained")
    axis = _bars(figure, known, np.mean, title, "one seed")
    levels = metrics.baselines(baselines or {}, metric)
    levels = {name: panel(metric).scale * value for name, value in levels.items()}
    draw_levels(axis, levels, ORANGE, vertical=True)
    for i, (found, measured) in enumerate(zip(values.values(), known.values(), strict=True)):
        diverged = len(found) - len(measured)
        if diverged:
            many = "" if diverged == len(found) else f"{diverged} of {len(found)} "
            axis.text(0, i, f"  {many}diverged", fontsize=8, va="center")
    axis.set_xlabel(axis_label(metric))
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    save(figure, path)


def measured(
    values: Mapping[str, Sequence[float]], path: str | os.PathLike, title: str, unit: str
) -> None:
    """Draws what a benchmark measured: a bar at the median, a dot a measurement.

    Args:
        values: The measurements by name.
        path: The PNG to write.
        title: Of the figure.
        unit: Of the measurements.
    """
    figure = Figure(figsize=(6.4, _height(len(values))), layout="constrained")
    axis = _bars(figure, values, np.median, title, "one measurement")
    axis.set_xlabel(unit)
    figure.legend(loc="outside lower center", fontsize=8)
    save(figure, path)


def _height(count: int) -> float:
    """Of a figure with so many bars, in inches."""
    return (0.6 if count <= 8 else 0.35) * count + 1.4


def _bars(
    figure: Figure,
    values: Mapping[str, Sequence[float]],
    center: Callable[[Sequence[float]], float],
    title: str,
    label: str,
) -> Axes:
    """Draws horizontal bars, the first on top; none for a name without values."""
    axis = figure.subplots()
    axis.set_title(title, fontsize=10)
    for i, found in enumerate(values.values()):
        if found:
            axis.barh(i, center(found), color=BLUE, alpha=0.6)
    points = [(v, i) for i, found in enumerate(values.values()) for v in found]
    axis.plot(*np.reshape(points, (-1, 2)).T, "o", color="black", markersize=4, label=label)
    axis.set_yticks(range(len(values)), values)
    axis.set_ylim(len(values) - 0.5, -0.5)
    return axis
