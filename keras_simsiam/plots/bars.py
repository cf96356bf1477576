"""Draws bars with a dot for each measurement."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_simsiam.fields import checks_arguments
from keras_simsiam.plots import style
from keras_simsiam.plots.style import BLUE, ORANGE, axis_label


@checks_arguments
def compared_bars(
    values: Mapping[str, Sequence[float | None]],
    path: str | os.PathLike,
    title: str,
    baselines: Mapping[str, float | None] | None = None,
    metric: str = "knn_top1",
) -> None:
    """Draws a metric of variants: a bar at the mean over seeds, and a dot for each seed.

    Args:
        values: For each variant the values of its seeds; None for a seed whose training diverged,
            which is written beside the bar.
        path: The PNG to write.
        title: Title of the figure.
        baselines: Values to draw as lines; see `curves`.
        metric: Key of the metric.

    Raises:
        InputError: If an argument is invalid.
    """
    style.check_numbers("values", values, absent=True)
    known = {name: style.scaled(metric, found) for name, found in values.items()}
    figure, axis = _bars(known, np.mean, title, axis_label(metric), "one seed")
    measured = [v for found in values.values() for v in found if v is not None]
    style.draw_levels(axis, style.levels(metric, measured, baselines), ORANGE, vertical=True)
    for i, (name, found) in enumerate(values.items()):
        if diverged := found.count(None):
            count = f"{diverged} of {len(found)} " if known[name] else ""
            axis.text(0, i, f"  {count}diverged", fontsize=8, va="center")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    style.save(figure, path)


@checks_arguments
def measured(
    values: Mapping[str, Sequence[float]], path: str | os.PathLike, title: str, unit: str
) -> None:
    """Draws the measurements of a benchmark: a bar at the median, and a dot for each.

    Args:
        values: The measurements by name.
        path: The PNG to write.
        title: Title of the figure.
        unit: Unit of the measurements.

    Raises:
        InputError: If an argument is invalid.
    """
    style.check_numbers("values", values)
    figure, _ = _bars(values, np.median, title, unit, "one measurement")
    figure.legend(loc="outside lower center", fontsize=8)
    style.save(figure, path)


def _bars(
    values: Mapping[str, Sequence[float]], center: Callable, title: str, unit: str, dot: str
) -> tuple[Figure, Axes]:
    """Draws horizontal bars, the first at the top; no bar for a name without values."""
    names = [style.text(name, 60) for name in values]
    width = 6.4 + 0.08 * max(0, max(map(len, names), default=0) - 24)
    height = (0.6 if len(names) <= 8 else 0.35) * len(names) + 1.5
    figure, axis = style.one_panel(width, height, title)
    for i, found in enumerate(values.values()):
        if found:
            axis.barh(i, center(found), color=BLUE, alpha=0.6)
    points = [(v, i) for i, found in enumerate(values.values()) for v in found]
    axis.plot(*np.reshape(points, (-1, 2)).T, "o", color="black", markersize=4, label=dot)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel=unit, ylim=(len(values) - 0.5, -0.5))
    return figure, axis
