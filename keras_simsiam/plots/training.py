"""Figures of one run: its curves, the views it sees, the spectrum of its features."""

from __future__ import annotations

import pathlib

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from keras_simsiam.plots.style import BLUE, GRAY, GREEN, ORANGE, columns_of, marker, save


def curves(
    rows: list[dict],
    path: str | pathlib.Path,
    title: str,
    baselines: dict[str, float] | None = None,
) -> None:
    """Draws loss, z_std and kNN accuracy over epochs (the paper's Figure 2).

    Args:
        rows: One dict an epoch with ``epoch``, ``loss``, ``z_std`` and, where it was evaluated,
            ``knn_top1``. Epoch 0 stands for the untrained network.
        path: The PNG to write.
        title: Above the panels.
        baselines: kNN accuracies in [0, 1] to draw as lines, by name.
    """
    panels = [("loss", "training loss", (-1.02, 0.02)), ("z_std", "z_std (× √d)", (-0.02, 1.05))]
    has_knn = bool(baselines) or any("knn_top1" in row for row in rows)
    figure = Figure(figsize=(4.2 * (2 + has_knn), 3.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, 2 + has_knn))
    figure.suptitle(title)
    for axis, (key, label, limits) in zip(axes, panels, strict=False):
        points = [(row["epoch"], row[key]) for row in rows if key in row]
        axis.plot(*columns_of(points), color=BLUE, marker=marker(points))
        axis.set(xlabel="epoch", ylabel=label, ylim=limits)
    axes[0].axhline(-1, color=GRAY, linewidth=0.8, linestyle=":", label="smallest possible")
    axes[1].axhline(1, color=GRAY, linewidth=0.8, linestyle=":", label="spread over the sphere")
    axes[1].axhline(0, color=ORANGE, linewidth=0.8, linestyle=":", label="collapsed")
    if has_knn:
        points = [(row["epoch"], 100 * row["knn_top1"]) for row in rows if "knn_top1" in row]
        axes[2].plot(*columns_of(points), color=BLUE, marker=marker(points), label="SimSiam")
        styles = (("--", ORANGE), (":", GREEN), ("-.", GRAY))
        for (name, value), (line, color) in zip((baselines or {}).items(), styles, strict=False):
            axes[2].axhline(100 * value, color=color, linestyle=line, label=name)
        axes[2].set(xlabel="epoch", ylabel="kNN top-1 accuracy (%)")
    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    save(figure, path)


def view_pairs(
    x1: np.ndarray,
    x2: np.ndarray,
    path: str | pathlib.Path,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    pairs: int = 24,
) -> None:
    """Draws pairs of views as the network sees them, the normalisation undone.

    Args:
        x1: float32 ``[B, H, W, 3]``, normalised.
        x2: The other views of the same images.
        path: The PNG to write.
        mean: Of each channel, as in the normalisation.
        std: Of each channel.
        pairs: How many to draw, at most.
    """
    pairs = min(pairs, len(x1))
    columns = min(8, pairs)
    rows = -(-pairs // columns)
    figure = Figure(figsize=(1.05 * columns + 0.5, 2.3 * rows + 0.4), layout="constrained")
    axes = figure.subplots(2 * rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
    for i in range(pairs):
        row, column = divmod(i, columns)
        for j, views in enumerate((x1, x2)):
            pixels = np.clip(np.asarray(views[i], np.float32) * std + mean, 0, 1)
            axes[2 * row + j, column].imshow(pixels)
    for row in range(rows):
        axes[2 * row, 0].set_ylabel("x1")
        axes[2 * row + 1, 0].set_ylabel("x2")
    figure.suptitle("Pairs of views, one above the other")
    save(figure, path)


def spectrum(spectra: dict[str, np.ndarray], path: str | pathlib.Path) -> None:
    """Draws the singular values of features, each divided by its largest.

    Args:
        spectra: Singular values, largest first, by name.
        path: The PNG to write.
    """
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axis = figure.subplots()
    for (name, values), color in zip(spectra.items(), (BLUE, ORANGE, GREEN), strict=False):
        share = values / max(values[0], np.finfo(float).tiny)
        axis.plot(np.arange(1, len(share) + 1), np.maximum(share, 1e-8), color=color, label=name)
    axis.set(
        xscale="log", yscale="log", xlabel="dimension, by size", ylabel="singular value / largest"
    )
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save(figure, path)
