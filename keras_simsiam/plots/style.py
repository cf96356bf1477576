"""What the figures share: colours, line styles, reference lines and saving."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_simsiam.files import written_atomically
from keras_simsiam.metrics import Panel, describe

# Okabe and Ito's palette, which people with colour blindness can tell apart, without its yellow.
BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY = (
    *("#0072B2", "#D55E00", "#009E73"),
    *("#CC79A7", "#E69F00", "#56B4E9"),
)
GRAY = "#666666"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY)

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_SERIES_LINES = ("-", "--", "-.", ":")
_LEVEL_LINES = ("--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)))


def series_styles(count: int) -> list[dict[str, Any]]:
    """Line properties for `count` series: any two differ in colour, line style or marker."""
    lines = itertools.cycle(itertools.product(_SERIES_LINES, PALETTE))
    markers = itertools.cycle(_MARKERS)
    return [
        {"linestyle": line, "color": color, "marker": marker}
        for (line, color), marker in itertools.islice(zip(lines, markers, strict=True), count)
    ]


def draw_levels(
    axis: Axes, levels: Mapping[str, float], color: str = GRAY, vertical: bool = False
) -> None:
    """Draws labelled lines across the axes, such as baselines: any two differ in colour or style.

    Args:
        axis: The axes to draw on.
        levels: Values in units of the axis, by label.
        color: Of the first four; further ones have other colours.
        vertical: Whether the values are on the x axis.
    """
    draw = axis.axvline if vertical else axis.axhline
    colors = dict.fromkeys((color, "black", GRAY, *PALETTE))
    styles = itertools.cycle(itertools.product(colors, _LEVEL_LINES))
    for (label, value), (shade, line) in zip(levels.items(), styles, strict=False):
        draw(value, color=shade, linestyle=line, linewidth=1.2, label=label)


def panel(metric: str) -> Panel:
    """How a metric is drawn; as it is if the table does not say."""
    return describe(metric).panel or Panel()


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
    with written_atomically(path) as partial:
        figure.savefig(partial, dpi=120)
