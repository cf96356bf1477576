"""Draws metrics over epochs, and over a setting."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from keras_simsiam.errors import InputError, shown
from keras_simsiam.fields import checks_arguments
from keras_simsiam.metrics import METRICS, describe
from keras_simsiam.plots import style
from keras_simsiam.plots.style import GRAY, axis_label, draw_levels, panel, scaled, series_styles

History = Sequence[Mapping[str, float]]
"""A row per epoch, with ``epoch`` and metrics by key. Epoch 0 is the untrained network."""

Baselines = Mapping[str, float | None]
"""Values without training by key, such as ``knn_top1_raw_pixels``. Other keys and None are ignored,
so it may be a summary."""

_COLUMNS = 4
"""The most panels side by side."""

_MARKERS = 12
"""The most markers on a line."""


@checks_arguments
def curves(
    history: History, path: str | os.PathLike, title: str, baselines: Baselines | None = None
) -> None:
    """Draws a run over its epochs: loss, z_std and kNN accuracy (the paper's Figure 2).

    Every metric that has a panel in `keras_simsiam.metrics` is drawn if the history has it.

    Args:
        history: History of the run.
        path: The PNG to write.
        title: Title of the figure.
        baselines: Values to draw as lines.

    Raises:
        InputError: If an argument is invalid.
    """
    compared_curves({title: [history]}, path, title, baselines)


@checks_arguments
def compared_curves(
    runs: Mapping[str, Sequence[History]],
    path: str | os.PathLike,
    title: str,
    baselines: Baselines | None = None,
) -> None:
    """Draws variants over their epochs: a line at the mean over seeds, a band over the range.

    Args:
        runs: For each variant the histories of its seeds, which may differ in length.
        path: The PNG to write.
        title: Title of the figure.
        baselines: Values to draw as lines.

    Raises:
        InputError: If an argument is invalid.
    """
    for histories in runs.values():
        _check_histories(histories)
    measured = {key for histories in runs.values() for h in histories for row in h for key in row}
    drawable = [key for key, metric in METRICS.items() if metric.panel]
    keys = [key for key in drawable if key in measured] or drawable[:1]
    rows = -(-len(keys) // _COLUMNS)
    columns = -(-len(keys) // rows)
    figure = Figure(figsize=(4.2 * columns, 3.6 * rows + 0.1 * len(runs)), layout="constrained")
    figure.suptitle(style.text(title, 80))
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis, key in zip(axes, keys, strict=False):
        lines = _draw_panel(axis, key, runs, baselines)
    for axis in axes[len(keys) :]:
        axis.set_visible(False)
    if len(runs) > 1:
        columns = min(4, len(runs))
        figure.legend(
            lines,
            [style.text(name, 60) for name in runs],
            loc="outside lower center",
            ncols=columns,
            fontsize=8,
        )
    style.save(figure, path)


@checks_arguments
def metric_over(
    label: str,
    series: Mapping[str, Mapping[float, Sequence[float | None]]],
    path: str | os.PathLike,
    title: str,
    baselines: Baselines | None = None,
    references: Mapping[str, float] | None = None,
) -> None:
    """Draws metrics over a setting: a line at the mean, a band over the range, a dot per seed.

    Args:
        label: Label of the setting, such as "batch size".
        series: For each metric, and each value of the setting, the values of its seeds; None for a
            seed whose training diverged.
        path: The PNG to write.
        title: Title of the figure.
        baselines: Values to draw as lines, in the metric's color if there are several metrics.
        references: Other values of the metric to draw as lines, by label.

    Raises:
        InputError: If an argument is invalid.
    """
    _check_series(series, "metric")
    figure, axis = style.one_panel(6.4, 4.6, title)
    several = len(series) > 1
    for (key, values), look in zip(series.items(), series_styles(len(series)), strict=True):
        heading = describe(key).heading
        mean = {**look, "marker": "", "label": f"{heading}, mean"}
        _mean_range_and_dots(axis, key, values, mean, {**look, "label": f"{heading}, one seed"})
        measured = [v for found in values.values() for v in found if v is not None]
        levels = style.levels(key, measured, baselines)
        levels |= {name: panel(key).scale * value for name, value in (references or {}).items()}
        if several:
            levels = {f"{heading}, {name}": value for name, value in levels.items()}
        draw_levels(axis, levels, look["color"] if several else GRAY)
    names = [panel(key).unit if several else axis_label(key) for key in series]
    axis.set_ylabel(", ".join(dict.fromkeys(names)))
    _setting_axis(axis, label, series.values())
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    style.save(figure, path)


@checks_arguments
def compared_over(
    label: str,
    metric: str,
    series: Mapping[str, Mapping[float, Sequence[float | None]]],
    path: str | os.PathLike,
    title: str,
    baselines: Baselines | None = None,
) -> None:
    """Draws a metric of variants over a setting: as `metric_over`, a line for each variant.

    Args:
        label: Label of the setting, such as "epochs of training".
        metric: Key of the metric.
        series: For each variant, and each value of the setting, the values of its seeds; None for
            a seed whose training diverged.
        path: The PNG to write.
        title: Title of the figure.
        baselines: Values to draw as lines.

    Raises:
        InputError: If an argument is invalid.
    """
    _check_series(series, "variant")
    figure, axis = style.one_panel(6.4, 5.0, title)
    for (name, values), look in zip(series.items(), series_styles(len(series)), strict=True):
        _mean_range_and_dots(axis, metric, values, {**look, "label": style.text(name)}, look)
    measured = [
        v for values in series.values() for found in values.values() for v in found if v is not None
    ]
    draw_levels(axis, style.levels(metric, measured, baselines))
    axis.set_ylabel(axis_label(metric))
    _setting_axis(axis, label, series.values())
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    style.save(figure, path)


def _check_series(series: Mapping[str, Mapping], shows: str) -> None:
    """Raises InputError unless each metric or variant has numbers for each value of the setting."""
    for values in series.values():
        if not isinstance(values, Mapping):
            raise InputError(f"series must have a mapping for each {shows}; got {shown(values)}")
        style.check_numbers("series", {"the setting": values.keys()})
        style.check_numbers("series", values, absent=True)


def _mean_range_and_dots(
    axis: Axes, key: str, values: Mapping[float, Sequence[float | None]], mean: dict, dots: dict
) -> None:
    """Draws a metric over a setting; `mean` and `dots` are the looks of the mean and of a seed."""
    known = {x: scaled(key, found) for x, found in values.items()}
    _mean_and_range(axis, known, mean)
    points = [(x, v) for x, found in known.items() for v in found]
    axis.plot(*np.reshape(points, (-1, 2)).T, **{**dots, "linestyle": "", "markersize": 4})


def _setting_axis(
    axis: Axes, label: str, series: Iterable[Mapping[float, Sequence[float | None]]]
) -> None:
    """Labels the x axis with a setting, and its values."""
    axis.set_xlabel(label)
    ticks = sorted({x for values in series for x in values})
    if min(ticks, default=0) > 0:
        axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axis.minorticks_off()
    axis.grid(alpha=0.3)


def _check_histories(histories: Sequence[History]) -> None:
    """Raises InputError unless these are histories."""
    for history in histories if isinstance(histories, Sequence) else [histories]:
        for row in history if isinstance(history, Sequence) else [history]:
            if not isinstance(row, Mapping) or "epoch" not in row:
                raise InputError(
                    f"a history must be rows with an epoch and metrics; got {shown(row)}"
                )
            style.check_numbers("a history", {key: [value] for key, value in row.items()})


def _draw_panel(
    axis: Axes, key: str, runs: Mapping[str, Sequence[History]], baselines: Baselines | None
) -> list[Line2D]:
    """Draws one metric of all variants, and returns their lines."""
    lines: list[Line2D] = []
    values: list[float] = []
    for histories, look in zip(runs.values(), series_styles(len(runs)), strict=True):
        rows = [row for history in histories for row in history if key in row]
        values += [row[key] for row in rows]
        epochs = sorted({row["epoch"] for row in rows})
        by_epoch = {e: scaled(key, [r[key] for r in rows if r["epoch"] == e]) for e in epochs}
        look["markevery"] = max(1, -(-len(epochs) // _MARKERS))
        if len(runs) == 1 and look["markevery"] > 1:
            look["marker"] = ""
        lines.append(_mean_and_range(axis, by_epoch, look))
    draw_levels(axis, style.levels(key, values, baselines))
    limits, scale = panel(key).limits, panel(key).scale
    if limits is not None and panel(key).fits(values):
        low, high = scale * min([*limits, *values]), scale * max([*limits, *values])
        axis.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))
    if not values:
        axis.set_xlim(0, 1)
    axis.set(xlabel="epoch", ylabel=axis_label(key))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.finish(axis)
    return lines


def _mean_and_range(axis: Axes, values: Mapping[float, Sequence[float]], look: dict) -> Line2D:
    """Draws the mean of the values at each x as a line, and their range as a band."""
    found = {x: v for x, v in values.items() if v}
    mean, low, high = (list(map(edge, found.values())) for edge in (np.mean, np.min, np.max))
    [line] = axis.plot(list(found), mean, **look)
    axis.fill_between(list(found), low, high, color=look["color"], alpha=0.2, linewidth=0)
    return line
