"""The paper's Table 4: kNN and linear accuracy over the length of training."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Sequence

from experiments import common
from keras_simsiam import Run, data, load_encoder, metrics, options, plots
from keras_simsiam.documents import read_json
from keras_simsiam.evaluation import Encoder, extract, linear_accuracy, raw_pixels
from keras_simsiam.files import write_json
from keras_simsiam.training.prepare import build_model, load_inputs
from keras_simsiam.tuning.ledger import Entry
from keras_simsiam.tuning.results import Found, baselines
from keras_simsiam.tuning.space import SEED

LONGEST = {"small": 32, "full": 800}
"""Epochs of the longest training at each scale."""


def main(argv: Sequence[str] | None = None) -> int:
    """Trains what is left to train, and writes the table and the figure."""
    args = common.parse(__doc__, argv)
    args.epochs = args.epochs or LONGEST[args.scale]
    found = common.search("epochs", args)
    for line in found.lines:
        for entry in line.entries:
            entry.metrics.update(linear(found, entry))
    common.publish("epochs", __doc__, args, found)
    draw(found, common.figure_path("epochs", args), f"{args.dataset}, {len(args.seeds)} seeds")
    return 0


def draw(found: Found, path: pathlib.Path, title: str) -> None:
    """Draws both accuracies over the epochs."""
    series = {
        key: {line.values["training.epochs"]: line.measured(key) for line in found.lines}
        for key in ("knn_top1", "linear_top1")
    }
    untrained = {k: v for k, v in baselines(found.lines).items() if k.endswith("random_weights")}
    plots.metric_over("epochs of training", series, path, title, untrained)


def linear(found: Found, entry: Entry) -> dict[str, float]:
    """Linear accuracy of a trial's encoder and without training, kept in its folder."""
    if entry.failed:
        return {}
    kept = found.run_folder(entry) / "linear.json"
    if not kept.exists():
        run = found.space.base
        top1 = _linear(load_encoder(found.saved_model(entry)), run)
        write_json(kept, {"linear_top1": top1, **linear_baselines(run, entry.values[SEED])})
    return read_json(kept)


@functools.cache
def linear_baselines(base: Run, seed: int) -> dict[str, float]:
    """Linear accuracy of the weights drawn with a seed, and of the pixels."""
    run = base.replace(training={"seed": seed})
    inputs = load_inputs(run)
    encoder = Encoder.of(build_model(run, inputs))
    return {
        metrics.baseline_key("linear_top1", "random_weights"): _linear(encoder, run),
        metrics.baseline_key("linear_top1", "raw_pixels"): _raw_pixels(base),
    }


@functools.cache
def _raw_pixels(base: Run) -> float:
    return _linear(raw_pixels, base)


def _linear(encoder: Encoder, run: Run) -> float:
    bank, queries = (
        data.load(run.data.dataset, split, run.data.data_dir) for split in ("train", "validation")
    )
    return linear_accuracy(
        extract(encoder, bank.images),
        bank.labels,
        extract(encoder, queries.images),
        queries.labels,
    ).top1


if __name__ == "__main__":
    options.run_command(main)
