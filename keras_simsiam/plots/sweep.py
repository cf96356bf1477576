"""Draws the trials of a sweep in parallel coordinates."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from keras_simsiam.errors import InputError, shown
from keras_simsiam.fields import checks_arguments
from keras_simsiam.plots.style import (
    GRAY,
    axis_label,
    check_numbers,
    one_panel,
    save,
    scaled,
    text,
)

_ABSENT = -0.15
"""Height of the trials that lack a setting; the others are between 0 and 1."""


@checks_arguments
def parallel_coordinates(
    settings: Mapping[str, Sequence],
    values: Sequence[float],
    path: str | os.PathLike,
    title: str,
    logarithmic: Collection[str] = (),
    metric: str = "knn_top1",
) -> None:
    """Draws each trial of a sweep as a line through its settings, colored by a metric.

    Args:
        settings: For each setting its values, numbers or words, one per trial; None for a trial
            without the setting.
        values: Values of the metric, one per trial.
        path: The PNG to write.
        title: Title of the figure.
        logarithmic: Settings whose axis is logarithmic.
        metric: Key of the metric.

    Raises:
        InputError: If an argument is invalid, or there is not one value a trial.
    """
    check_numbers("values", {metric: values})
    if not values:
        raise InputError("values must be of at least one trial; got nothing")
    for name, column in settings.items():
        if not isinstance(column, Sequence) or len(column) != len(values):
            raise InputError(
                f"settings must have {len(values)} values each, one a trial; "
                f"got {shown(column)} for {shown(name)}"
            )
        least = min((v for v in column if isinstance(v, int | float)), default=1)
        if name in logarithmic and least <= 0:
            raise InputError(f"logarithmic must name settings above 0; got {name}, with {least:g}")
    figure, axis = one_panel(1.7 * len(settings) + 3.2, 4.4, title)
    heights = []
    for x, (name, column) in enumerate(settings.items()):
        height, ticks = _heights(column, name in logarithmic)
        heights.append(height)
        axis.axvline(x, color=GRAY, linewidth=0.8)
        for label, y in ticks.items():
            drawn = axis.text(
                x - 0.04, y, text(label), fontsize=8, ha="right", va="center", zorder=3
            )
            drawn.set_bbox({"facecolor": "white", "alpha": 0.7, "pad": 1, "linewidth": 0})
    measured = np.array(scaled(metric, values))
    colors = ScalarMappable(
        Normalize(measured.min(), measured.max()), matplotlib.colormaps["cividis"]
    )
    rgba = colors.to_rgba(measured)
    for i in np.argsort(measured, kind="stable"):  # the best on top
        axis.plot([height[i] for height in heights], "o-", color=rgba[i], markersize=4, alpha=0.9)
    axis.set_xticks(range(len(settings)), [n.split(".")[-1].replace("_", " ") for n in settings])
    axis.tick_params(axis="x", labelrotation=20, labelsize=8)
    axis.set(yticks=[], xlim=(-0.6, len(settings) - 0.8))
    axis.spines[:].set_visible(False)
    figure.colorbar(colors, ax=axis, label=axis_label(metric))
    save(figure, path)


def _heights(values: Sequence, logarithmic: bool) -> tuple[list[float], dict[str, float]]:
    """Heights in [0, 1] of values on an axis, and of its ticks by label; None is below the axis."""
    known = [v for v in values if v is not None]
    if known and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
        numbers = sorted(set(known))
        raw = np.log(numbers) if logarithmic else np.array(numbers, float)
        places = dict(zip(numbers, (raw - raw[0]) / (np.ptp(raw) or 1), strict=True))
        marked = numbers if len(numbers) <= 8 else (numbers[0], numbers[-1])
        ticks = {f"{v:.3g}": places[v] for v in marked}
    else:
        words = list(dict.fromkeys(known))
        places = {word: i / max(1, len(words) - 1) for i, word in enumerate(words)}
        ticks = {str(word): place for word, place in places.items()}
    if len(known) < len(values):
        places[None] = ticks["(none)"] = _ABSENT
    return [float(places[v]) for v in values], ticks
