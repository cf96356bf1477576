"""The report's Figure 1 and the paper's Figure 2: training with and without the stop-gradient."""

from __future__ import annotations

import copy
import csv
import pathlib
from collections.abc import Sequence

from experiments import common
from keras_simsiam import options, plots
from keras_simsiam.training.callbacks import read_history
from keras_simsiam.tuning import sweeps
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


REPORT = common.HERE / "report_losses.csv"
"""The report's Figure 1 in numbers: the losses that its two trainings recorded, 50 epochs each."""


def main(argv: Sequence[str] | None = None) -> int:
    """Trains what is left to train, and writes the table and the figure."""
    parser = common.parser(__doc__)
    parser.add_argument(
        "--epochs-without",
        type=int,
        metavar="N",
        help="epochs of the runs without the stop-gradient, which collapse at once; by default as "
        "many as with it. Their learning rate decays over these epochs",
    )
    parser.add_argument("--only", choices=["with", "without"], help="train only these runs")
    args = parser.parse_args(argv)
    spec = None
    if args.epochs_without is not None or args.only:
        spec = copy.deepcopy(sweeps.ABLATIONS["stop_gradient"])
        choices = spec["stop_gradient"]["choices"]
        if args.epochs_without is not None:
            choices["without stop-gradient"]["training.epochs"] = args.epochs_without
        if args.only:
            kept = f"{args.only} stop-gradient"
            spec["stop_gradient"] = {
                key: {kept: of_each[kept]} for key, of_each in spec["stop_gradient"].items()
            }
    return common.run("stop_gradient", __doc__, args, draw, CITED, spec=spec)


def draw(found: Found, path: pathlib.Path, title: str) -> None:
    """Draws loss, z_std and kNN accuracy over epochs, on the report's data with its own losses."""
    histories = {
        line.label: [read_history(found.run_folder(e) / "history.csv") for e in line.entries]
        for line in found.lines
    }
    if found.space.base.data.dataset == "tiny_imagenet":
        histories |= {f"the report, {kind}": [curve] for kind, curve in reported().items()}
    title = f"SimSiam on {title}, mean and range"
    plots.compared_curves(histories, path, title, baselines(found.lines))


def reported() -> dict[str, list[dict[str, float]]]:
    """The report's losses: a history each with and without the stop-gradient."""
    with REPORT.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        kind: [
            {"epoch": int(row["epoch"]), "loss": float(row[f"loss_{kind}_stop_gradient"])}
            for row in rows
        ]
        for kind in ("with", "without")
    }


if __name__ == "__main__":
    options.run_command(main)
