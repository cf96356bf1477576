"""What the figures share."""

from __future__ import annotations

import pathlib

from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind people can tell apart.
BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "#666666"


def save(figure: Figure, path: str | pathlib.Path) -> None:
    """Writes a figure as a PNG."""
    figure.savefig(path, dpi=120)


def columns_of(points: list[tuple]) -> tuple:
    """The x of all points, and the y of all."""
    return tuple(zip(*points, strict=True)) or ((), ())


def marker(points: list[tuple]) -> str | None:
    """A dot a point where there are few."""
    return "o" if len(points) <= 12 else None
