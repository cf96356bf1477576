"""Choosing settings without labels: which criterion orders runs as their kNN accuracy does."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from matplotlib.figure import Figure
from scipy import stats

from experiments import common
from keras_simsiam import load_encoder, metrics, options
from keras_simsiam.plots import style
from keras_simsiam.tables import markdown
from keras_simsiam.training.inputs import load_inputs
from keras_simsiam.training.prepare import retrieval
from keras_simsiam.tuning.ledger import Entry
from keras_simsiam.tuning.results import Found, Line

VARIED = {
    "rate": {
        "choices": {rate: {"training.learning_rate": rate} for rate in (0.03125, 0.125, 0.5, 1, 2)}
    },
    "crops": {
        "choices": {
            f"crops from {least:.0%}": {"augmentation.crop_area": [least, 1.0]}
            for least in (0.08, 0.2, 0.5)
        }
    },
    "colors": {
        "choices": {
            "colors changed": {},
            "colors kept": {"augmentation.jitter_probability": 0.0},
        }
    },
}
"""What the runs differ in: 30 combinations."""

CRITERIA = {"loss": -1, "z_std": 1, "backbone_rank": 1, "projector_rank": 1, "view_retrieval": 1}
"""What needs no labels, and whether more of it should be better, 1, or less, -1."""


def main(argv: Sequence[str] | None = None) -> int:
    """Trains what is left to train, and writes the tables and the figure."""
    parser = common.parser(__doc__)
    parser.set_defaults(seeds=[0], epochs=10)
    return common.run(
        "unlabeled", __doc__, parser.parse_args(argv), draw, measure=[add_retrieval], spec=VARIED
    )


def add_retrieval(found: Found) -> None:
    """Adds how often each encoder finds the other view; all see the views of the base run."""
    run = found.space.base
    inputs = load_inputs(run)

    def measure(entry: Entry) -> dict[str, float]:
        return {"view_retrieval": retrieval(load_encoder(found.saved_model(entry)), run, inputs)}

    common.add_to_trials(found, "view_retrieval", measure)


def table(lines: Sequence[Line]) -> list[list[str]]:
    """A row for each criterion.

    The columns are Spearman's rank correlation with kNN accuracy, positive if the criterion orders
    runs as it should, and the accuracy of the run that it would choose, beside the best run's.
    """
    runs = [e.metrics for line in lines for e in line.entries if not e.failed]
    accuracy = [run["knn_top1"] for run in runs]
    rows = [["criterion", "Spearman with kNN top-1", "kNN top-1 of its choice", "best run"]]
    for criterion, sign in CRITERIA.items():
        values = [sign * run[criterion] for run in runs]
        chosen = accuracy[values.index(max(values))]
        name = f"{'lowest' if sign < 0 else 'highest'} {metrics.describe(criterion).heading}"
        correlation = stats.spearmanr(values, accuracy).statistic
        rows.append([name, f"{correlation:+.2f}", f"{chosen:.1%}", f"{max(accuracy):.1%}"])
    return rows


def draw(found: Found, path: pathlib.Path, title: str) -> None:
    """Prints the table of the criteria, and draws kNN accuracy over each, a color for each rate."""
    print(f"\n{markdown(table(found.lines))}")
    rates = {line.values["rate"]: [] for line in found.lines}
    for line in found.lines:
        rates[line.values["rate"]] += [e.metrics for e in line.entries if not e.failed]
    figure = Figure(figsize=(12.0, 3.4), layout="constrained")
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(1, len(CRITERIA), sharey=True)
    for axis, criterion in zip(axes, CRITERIA, strict=True):
        for (rate, runs), look in zip(rates.items(), style.series_styles(len(rates)), strict=True):
            x, y = [r[criterion] for r in runs], [100 * r["knn_top1"] for r in runs]
            label = f"rate {rate}" if axis is axes[0] else None
            axis.plot(x, y, **{**look, "linestyle": ""}, label=label)
        axis.set_xlabel(metrics.describe(criterion).heading)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(style.axis_label("knn_top1"))
    figure.legend(loc="outside lower center", ncols=len(rates), fontsize=8)
    style.save(figure, path)


if __name__ == "__main__":
    options.run_command(main)
