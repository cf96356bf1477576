"""The paper's Table 4: kNN and linear accuracy over the length of training."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from experiments import common, linear
from keras_simsiam import options, plots
from keras_simsiam.tuning.results import Found, baselines

LONGEST = {"small": 32, "full": 800}
"""Epochs of the longest training at each scale."""


def main(argv: Sequence[str] | None = None) -> int:
    """Trains what is left to train, and writes the table and the figure."""
    return common.compare("epochs", __doc__, argv, draw, measure=[linear.add], epochs=LONGEST)


def draw(found: Found, path: pathlib.Path, title: str) -> None:
    """Draws both accuracies over the epochs."""
    series = {
        key: {line.values["training.epochs"]: line.measured(key) for line in found.lines}
        for key in ("knn_top1", "linear_top1")
    }
    untrained = {k: v for k, v in baselines(found.lines).items() if k.endswith("random_weights")}
    plots.metric_over("epochs of training", series, path, title, untrained)


if __name__ == "__main__":
    options.run_command(main)
