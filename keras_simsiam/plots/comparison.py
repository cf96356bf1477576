"""Figures of many runs, and of measurements."""

from __future__ import annotations

import pathlib

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from keras_simsiam.plots.style import BLUE, GRAY, GREEN, ORANGE, columns_of, save


def compared_curves(
    runs: dict[str, list[list[dict]]],
    path: str | pathlib.Path,
    title: str,
    baselines: dict[str, float],
) -> None:
    """Draws loss, z_std and kNN accuracy of variants (the report's Figure 1, the paper's 2).

    Args:
        runs: For each variant the histories of its seeds, rows as for `curves`.
        path: The PNG to write.
        title: Above the panels.
        baselines: kNN accuracies in [0, 1] to draw as lines, by name.
    """
    panels = {
        "loss": "training loss",
        "z_std": "z_std (× √d)",
        "knn_top1": "kNN top-1 accuracy (%)",
    }
    figure = Figure(figsize=(12.6, 3.6), layout="constrained")
    figure.suptitle(title)
    for axis, (key, label) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        factor = 100 if key == "knn_top1" else 1
        for (name, histories), color in zip(runs.items(), (BLUE, ORANGE, GREEN), strict=False):
            epochs = [row["epoch"] for row in histories[0] if key in row]
            values = factor * np.array([[r[key] for r in rows if key in r] for rows in histories])
            axis.plot(epochs, values.mean(axis=0), color=color, marker="o", label=name)
            axis.fill_between(epochs, *_range(values), color=color, alpha=0.2, linewidth=0)
        if key == "knn_top1":
            for (name, value), style in zip(baselines.items(), (":", "--"), strict=False):
                axis.axhline(factor * value, color=GRAY, linestyle=style, label=name)
        axis.set(xlabel="epoch", ylabel=label)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    save(figure, path)


def compared_bars(
    accuracies: dict[str, list[float | None]],
    path: str | pathlib.Path,
    title: str,
    baselines: dict[str, float],
) -> None:
    """Draws the kNN accuracy of variants: a bar at the mean, a dot a seed.

    Args:
        accuracies: For each variant the accuracies of its seeds in [0, 1]; None for a seed
            whose training diverged.
        path: The PNG to write.
        title: Above the bars.
        baselines: Accuracies in [0, 1] to draw as lines, by name.
    """
    each = 0.6 if len(accuracies) <= 8 else 0.35
    figure = Figure(figsize=(6.4, each * len(accuracies) + 1.6), layout="constrained")
    axis = figure.subplots()
    axis.set_title(title)
    for i, values in enumerate(accuracies.values()):
        known = [100 * v for v in values if v is not None]
        axis.barh(i, np.mean(known) if known else 0, color=BLUE, alpha=0.6)
        dots = axis.plot(known, [i] * len(known), "o", color="black", markersize=4)
    dots[0].set_label("one seed")
    for (name, value), style in zip(baselines.items(), (":", "--"), strict=False):
        axis.axvline(100 * value, color=ORANGE, linestyle=style, label=name)
    axis.set_yticks(range(len(accuracies)), accuracies)
    axis.margins(y=0.02)
    axis.invert_yaxis()
    axis.set_xlabel("kNN top-1 accuracy (%)")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    save(figure, path)


def measured(
    values: dict[str, list[float]], path: str | pathlib.Path, title: str, unit: str
) -> None:
    """Draws what a benchmark measured: a bar at the median, a dot a measurement.

    Args:
        values: For each rival its measurements.
        path: The PNG to write.
        title: Above the bars.
        unit: Of the measurements.
    """
    figure = Figure(figsize=(6.4, 0.6 * len(values) + 1.4), layout="constrained")
    axis = figure.subplots()
    axis.set_title(title, fontsize=10)
    for i, found in enumerate(values.values()):
        axis.barh(i, np.median(found), color=BLUE, alpha=0.6)
        dots = axis.plot(found, [i] * len(found), "o", color="black", markersize=4)
    dots[0].set_label("one measurement")
    axis.set_yticks(range(len(values)), values)
    axis.invert_yaxis()
    axis.set_xlabel(unit)
    figure.legend(loc="outside lower center", fontsize=8)
    save(figure, path)


def accuracy_over(
    label: str,
    series: dict[str, dict[int, list[float | None]]],
    path: str | pathlib.Path,
    title: str,
    baselines: dict[str, float],
) -> None:
    """Draws accuracies over a setting: a line at the mean, a band over the range, a dot a seed.

    Args:
        label: Of the setting, such as "batch size".
        series: For each kind of accuracy, and each value of the setting, the accuracies of its
            seeds in [0, 1]; None for a seed whose training diverged.
        path: The PNG to write.
        title: Above it.
        baselines: Accuracies in [0, 1] to draw as lines, by name; in the colours of the series
            where there are several.
    """
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axis = figure.subplots()
    axis.set_title(title, fontsize=10)
    colors = (BLUE, ORANGE, GREEN)
    for (name, values), color in zip(series.items(), colors, strict=False):
        known = {x: [100 * v for v in of if v is not None] for x, of in values.items()}
        known = {x: of for x, of in known.items() if of}
        axis.plot(
            list(known), [np.mean(v) for v in known.values()], color=color, label=f"{name}, mean"
        )
        low, high = ([f(v) for v in known.values()] for f in (min, max))
        axis.fill_between(list(known), low, high, color=color, alpha=0.2, linewidth=0)
        axis.plot(
            *columns_of([(x, v) for x, of in known.items() for v in of]),
            "o",
            color=color,
            markersize=4,
            label=f"{name}, one seed",
        )
    lines = (":", "--")
    for i, (name, value) in enumerate(baselines.items()):
        color = colors[i] if len(series) > 1 else GRAY
        axis.axhline(100 * value, color=color, linestyle=lines[i % 2], label=name)
    axis.set(xscale="log", xlabel=label, ylabel="top-1 accuracy (%)")
    ticks = sorted({x for values in series.values() for x in values})
    axis.set_xticks(ticks, [str(x) for x in ticks], minor=False)
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save(figure, path)


def floor(losses: dict[int, list[float | None]], path: str | pathlib.Path, title: str) -> None:
    """Draws where the loss of collapsed runs ends over the batch size.

    Args:
        losses: For each batch size the last losses of its seeds; None for a seed that diverged.
        path: The PNG to write.
        title: Above it.
    """
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.set_title(title, fontsize=10)
    points = [(batch, v) for batch, values in losses.items() for v in values if v is not None]
    axis.plot(*columns_of(points), "o", color=BLUE, label="last epoch's loss, a dot a seed")
    axis.axhline(-1, color=GRAY, linestyle=":", label="smallest possible")
    axis.axhline(-0.87, color=ORANGE, linestyle="--", label="the report, batch 16")
    axis.set(xscale="log", xlabel="images that BatchNorm sees", ylabel="training loss")
    axis.set_xticks(list(losses), [str(batch) for batch in losses], minor=False)
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save(figure, path)


def parallel_coordinates(
    settings: dict[str, list],
    accuracies: list[float],
    path: str | pathlib.Path,
    title: str,
    logarithmic: set[str],
) -> None:
    """Draws each trial of a sweep as a line through its settings, coloured by its accuracy.

    Args:
        settings: For each setting its values, one a trial: numbers or words; None where a trial
            does not have it.
        accuracies: kNN accuracies in [0, 1], one a trial.
        path: The PNG to write.
        title: Above it.
        logarithmic: Settings whose axis is logarithmic.
    """
    figure = Figure(figsize=(1.7 * len(settings) + 3.2, 4.4), layout="constrained")
    axis = figure.subplots()
    axis.set_title(title, fontsize=10)
    norm = Normalize(100 * min(accuracies), 100 * max(accuracies))
    colors = matplotlib.colormaps["cividis"]
    heights = []
    for x, (name, values) in enumerate(settings.items()):
        height, ticks = _heights(values, name in logarithmic)
        heights.append(height)
        axis.axvline(x, color=GRAY, linewidth=0.8)
        for label, y in ticks:
            behind = {"facecolor": "white", "alpha": 0.7, "pad": 1, "linewidth": 0}
            axis.text(
                x - 0.04, y, label, fontsize=8, ha="right", va="center", bbox=behind, zorder=3
            )
    for i in sorted(range(len(accuracies)), key=accuracies.__getitem__):
        line = [height[i] for height in heights]
        color = colors(norm(100 * accuracies[i]))
        axis.plot(range(len(line)), line, color=color, marker="o", markersize=4, alpha=0.9)
    axis.set_xticks(range(len(settings)), [n.split(".")[-1].replace("_", " ") for n in settings])
    axis.tick_params(axis="x", labelrotation=20, labelsize=8)
    axis.set(yticks=[], xlim=(-0.6, len(settings) - 0.8))
    axis.spines[:].set_visible(False)
    mappable = matplotlib.cm.ScalarMappable(norm, colors)
    figure.colorbar(mappable, ax=axis, label="kNN top-1 accuracy (%)")
    save(figure, path)


def _heights(values: list, logarithmic: bool) -> tuple[list[float], list[tuple[str, float]]]:
    """Where values are on an axis from 0 to 1, and its ticks; below it where there is none."""
    known = [v for v in values if v is not None]
    if all(isinstance(v, int | float) for v in known):
        scale = np.log if logarithmic else float
        places = {v: float(scale(v)) for v in known}
        low, high = min(places.values()), max(places.values())
        places = {v: (p - low) / ((high - low) or 1) for v, p in places.items()}
        ticks = {f"{v:.3g}": places[v] for v in (min(known), max(known))}
        if len(places) <= 8:
            ticks = {f"{v:.3g}": p for v, p in places.items()}
    else:
        words = list(dict.fromkeys(known))
        places = {v: i / max(1, len(words) - 1) for i, v in enumerate(words)}
        ticks = {str(v): p for v, p in places.items()}
    if len(known) < len(values):
        places[None], ticks["(none)"] = -0.15, -0.15
    return [places[v] for v in values], list(ticks.items())


def _range(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return values.min(axis=0), values.max(axis=0)
