"""The paper's Table 4: the methods at three lengths of training, each with searched settings."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from experiments import common, epochs, linear
from keras_simsiam import options, plots
from keras_simsiam.tuning import results
from keras_simsiam.tuning.results import Found


def main(argv: Sequence[str] | None = None) -> int:
    """Trains what is left to train, and writes the table and the figure."""
    measure = [linear.add]
    return common.compare("methods", __doc__, argv, draw, measure=measure, epochs=epochs.LONGEST)


def draw(found: Found, path: pathlib.Path, title: str) -> None:
    """Draws kNN accuracy over the epochs, a line for each method; bars for a single length."""
    series: dict[str, dict[float, list[float | None]]] = {}
    for line in found.lines:
        run = found.space.run(line.entries[0].values)
        lengths = series.setdefault(run.model.method, {})
        lengths[run.training.epochs] = line.measured("knn_top1")
    if all(len(lengths) == 1 for lengths in series.values()):
        results.draw(found, path, title)
        return
    untrained = results.baselines(found.lines)
    plots.compared_over("epochs of training", "knn_top1", series, path, title, untrained)


if __name__ == "__main__":
    options.run_command(main)
