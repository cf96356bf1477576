"""What all figures share: colors, line styles, reference lines and saving."""

from __future__ import annotations

import itertools
import math
import numbers
import os
import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_simsiam import metrics
from keras_simsiam.errors import InputError, printable, shown
from keras_simsiam.files import written_atomically
from keras_simsiam.metrics import Panel, describe

# Okabe and Ito's palette for people with color blindness, without its yellow.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BLUE, ORANGE, GREEN = PALETTE[:3]
GRAY = "#666666"

_LONGEST_TITLE = 80  # characters

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_SERIES_LINES = ("-", "--", "-.", ":")
_LEVEL_LINES = ("--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)))


def check_numbers(name: str, rows: Mapping[Any, Iterable], absent: bool = False) -> None:
    """Raises InputError unless the rows are finite numbers.

    Args:
        name: The argument that has the rows.
        rows: Numbers by name.
        absent: Whether None may be among them.
    """
    for key, row in rows.items():
        for value in row if isinstance(row, Iterable) else [row]:
            finite = isinstance(value, numbers.Real) and math.isfinite(value)
            if not isinstance(row, Iterable) or not (finite or (absent and value is None)):
                raise InputError(
                    f"{name} must have a list of finite numbers for each name; "
                    f"got {shown(value)} for {shown(key)}"
                )


def series_styles(count: int) -> list[dict[str, Any]]:
    """Line properties for `count` series: any two differ in color, line style or marker."""
    lines = itertools.cycle(itertools.product(_SERIES_LINES, PALETTE))
    return [
        {"linestyle": line, "color": color, "marker": marker}
        for _, (line, color), marker in zip(range(count), lines, itertools.cycle(_MARKERS))
    ]


def text(name: object, longest: int = 30) -> str:
    """A name as text in a figure, in which nothing is read as mathematics.

    Args:
        name: Any name, such as that of a class.
        longest: The most characters; the middle of a longer name is left out.
    """
    shown = printable(str(name))
    if len(shown) > longest:
        shown = f"{shown[: longest // 2]}…{shown[len(shown) - longest // 2 + 1 :]}"
    # Legends leave out labels that start with an underscore.
    return f" {shown}".replace("$", r"\$") if shown.startswith("_") else shown.replace("$", r"\$")


def one_panel(width: float, height: float, title: str = "") -> tuple[Figure, Axes]:
    """A figure, with width and height in inches, that has one panel."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.subplots()
    if title:  # over the whole figure, because long names beside an axis leave it narrow
        figure.suptitle(text(title, _LONGEST_TITLE), fontsize=10)
    return figure, axis


def draw_levels(
    axis: Axes, levels: Mapping[str, float], color: str = GRAY, vertical: bool = False
) -> None:
    """Draws labeled lines across the axes, such as baselines; any two differ in color or style.

    Args:
        axis: The axes to draw on.
        levels: Values in units of the axis, by label.
        color: Color of the first four lines; further lines have other colors.
        vertical: Whether the values are on the x axis.
    """
    draw = axis.axvline if vertical else axis.axhline
    colors = dict.fromkeys((color, "black", GRAY, *PALETTE))
    styles = itertools.cycle(itertools.product(colors, _LEVEL_LINES))
    for (label, value), (shade, line) in zip(levels.items(), styles, strict=False):
        draw(value, color=shade, linestyle=line, linewidth=1.2, label=label)


def panel(metric: str) -> Panel:
    """How a metric is drawn, by default without scale and limits."""
    return describe(metric).panel or Panel()


def scaled(metric: str, values: Collection[float | None]) -> list[float]:
    """Values of a metric in units of its axis, without None, which stands for divergence."""
    return [panel(metric).scale * value for value in values if value is not None]


def levels(
    metric: str, values: Collection[float], baselines: Mapping[str, float | None] | None
) -> dict[str, float]:
    """The references and baselines of a metric in units of its axis, by label.

    References are left out if they do not apply to `values`, see `Panel.fits`.
    """
    references = panel(metric).references if panel(metric).fits(values) else ()
    found = {label: value for value, label in references}
    found |= metrics.baselines(baselines or {}, metric)
    return {label: panel(metric).scale * value for label, value in found.items()}


def axis_label(metric: str) -> str:
    """A metric's heading and unit."""
    return f"{describe(metric).heading} {panel(metric).unit}".strip()


def finish(axis: Axes) -> None:
    """Adds a grid, and a legend if anything has a label."""
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=8)


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a figure as a PNG, atomically."""
    with written_atomically(path) as partial, warnings.catch_warnings():
        # Boxes are drawn for characters that the font lacks.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
        figure.savefig(partial, dpi=120)
