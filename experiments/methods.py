"""The paper's Table 4: the methods at three lengths of training, each with searched settings."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Sequence

from experiments import common, epochs, linear
from keras_simsiam import InputError, options, plots
from keras_simsiam.tuning import method_sweeps, results
from keras_simsiam.tuning.results import Found

SEARCHED = ("training.learning_rate", "model.temperature")
"""What `tune methods` searches."""


def main(argv: Sequence[str] | None = None) -> int:
    """Trains what is left to train, and writes the table and the figure."""
    parser = common.parser(__doc__)
    parser.add_argument(
        "--lengths",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help="epochs of the trainings; by default a quarter and a half of --epochs, and all",
    )
    parser.add_argument(
        "--search",
        type=pathlib.Path,
        metavar="FOLDER",
        help="take each method's learning rate and temperature from its best trial in this sweep "
        "of tune methods; by default from that on photo_patches",
    )
    args = parser.parse_args(argv)
    args.epochs = args.epochs or epochs.LONGEST[args.scale]
    found = best_trials(args.search) if args.search else None
    spec = None
    if args.lengths or found:
        spec = method_sweeps.methods(common.base_run(args), args.lengths, found)
    return common.run("methods", __doc__, args, draw, measure=[linear.add], spec=spec)


def best_trials(folder: pathlib.Path) -> dict[str, dict[str, float]]:
    """The settings of each method's best trial.

    Args:
        folder: Of a sweep of ``tune methods``.

    Raises:
        InputError: If it has no results.
    """
    path = folder / "results.csv"
    if not path.is_file():
        raise InputError(f"search must be the folder of a finished sweep; there is no '{path}'")
    best: dict[str, dict[str, float]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):  # the best first
                if row["knn_top1"] and row["status"] == "finished":
                    settings = {name: float(row[name]) for name in SEARCHED if row[name]}
                    best.setdefault(row["method"], settings)
    except KeyError as e:
        raise InputError(f"search must be a sweep of tune methods; '{path}' has no {e}") from e
    return best


def draw(found: Found, path: pathlib.Path, title: str) -> None:
    """Draws kNN accuracy over the epochs, a line for each method; bars for a single length."""
    series: dict[str, dict[float, list[float | None]]] = {}
    for line in found.lines:
        run = found.space.run(line.entries[0].values)
        lengths = series.setdefault(line.label.split(",")[0], {})
        lengths[run.training.epochs] = line.measured("knn_top1")
    if all(len(lengths) == 1 for lengths in series.values()):
        results.draw(found, path, title)
        return
    untrained = results.baselines(found.lines)
    plots.compared_over("epochs of training", "knn_top1", series, path, title, untrained)


if __name__ == "__main__":
    options.run_command(main)
