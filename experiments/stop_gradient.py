"""The report's Figure 1 and the paper's Figure 2: training with and without the stop-gradient."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from experiments import common
from keras_simsiam import options, plots
from keras_simsiam.training.callbacks import read_history
from keras_simsiam.tuning.results import Found, baselines

CITED = [
    {"variant": "the report, Tiny ImageNet, 50 epochs, with", "loss": "-0.67"},
    {"variant": "the report, without", "loss": "-0.875"},
    {"variant": "the paper, ImageNet, 100 epochs, with", "z_std": "near 1", "paper": "67.7 ± 0.1"},
    {
        "variant": "the paper, without",
        "loss": "-1",
        "z_std": "0",
        "knn_top1": "chance",
        "paper": "0.1",
    },
]
"""The last values of the report and of the paper's Figure 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Trains what is left to train, and writes the table and the figure."""
    return common.compare("stop_gradient", __doc__, argv, draw, CITED)


def draw(found: Found, path: pathlib.Path, title: str) -> None:
    """Draws loss, z_std and kNN accuracy over epochs."""
    histories = {
        line.label: [read_history(found.run_folder(e) / "history.csv") for e in line.entries]
        for line in found.lines
    }
    title = f"SimSiam on {title}, mean and range"
    plots.compared_curves(histories, path, title, baselines(found.lines))


if __name__ == "__main__":
    options.run_command(main)
