"""The paper's Table 4: kNN and linear accuracy against the length of training."""

from __future__ import annotations

import functools
import json

from experiments import common
from keras_simsiam import Run, data, load_encoder, options, plots
from keras_simsiam.evaluation import (
    RAW_PIXELS_SIDE,
    extract,
    linear_accuracy,
    model_encoder,
    raw_pixels,
)
from keras_simsiam.training.setup import build_model, load_inputs

PAPER = {100: "68.1", 200: "70.0", 400: "70.8", 800: "71.3"}
LONGEST = {"small": 32, "full": 800}


def main(argv: list[str] | None = None) -> None:
    """Runs what has not been run, and writes the table and the figure."""
    args = common.parse(__doc__, argv)
    base = common.base_run(args)
    longest = args.epochs or LONGEST[args.scale]
    lengths = [longest // 8, longest // 4, longest // 2, longest]
    variants = [
        common.Variant(f"{n} epochs", {"training": {"epochs": n}}, PAPER.get(n, ""))
        for n in lengths
    ]
    rows = common.run_all(base, variants, args.seeds)
    without_training = {seed: linear_baselines(base, seed) for seed in args.seeds}
    for row in rows:
        row["linear_top1"] = linear_top1(row, args)
        row.update(without_training[row["seed"]])
    name = f"epochs_{args.dataset}"
    common.report(name, __doc__, args, rows)
    plots.metric_over(
        "epochs of training",
        {
            column: {
                n: [r[column] for r in group]
                for n, (_, group) in zip(lengths, common.grouped(rows), strict=True)
            }
            for column in ("knn_top1", "linear_top1")
        },
        common.HERE / "figures" / f"{name}.png",
        f"{args.dataset}, {len(args.seeds)} seeds",
        {k: v for k, v in common.baselines(rows).items() if k.endswith("random_weights")},
    )


def linear_top1(row: dict, args) -> float | None:
    """Linear accuracy of a run's exported encoder, kept in its folder; None if it diverged."""
    if row["status"] == "diverged":
        return None
    kept = row["folder"] / "linear.json"
    if not kept.exists():
        top1 = _linear(*load_encoder(row["saved_model"]), args.dataset, args.data_dir)
        kept.write_text(json.dumps({"linear_top1": top1}))
    return json.loads(kept.read_text())["linear_top1"]


def linear_baselines(base: Run, seed: int) -> dict[str, float]:
    """Linear accuracy without training: of the pixels, and of the weights drawn with a seed."""
    run = base.replace(training={"seed": seed})
    inputs = load_inputs(run)
    a = run.augmentation
    encoder = model_encoder(build_model(run, inputs), inputs.size, a.mean, a.std)
    where = (run.data.dataset, run.data.data_dir)
    return {
        "linear_top1_random_weights": _linear(encoder, inputs.size, *where),
        "linear_top1_raw_pixels": _of_raw_pixels(*where),
    }


@functools.cache
def _of_raw_pixels(dataset: str, data_dir: str | None) -> float:
    return _linear(raw_pixels, RAW_PIXELS_SIDE, dataset, data_dir)


def _linear(encoder, size: int, dataset: str, data_dir: str | None) -> float:
    bank, queries = (data.load(dataset, split, data_dir) for split in ("train", "validation"))
    return linear_accuracy(
        extract(encoder, bank.images, size),
        bank.labels,
        extract(encoder, queries.images, size),
        queries.labels,
    ).top1


if __name__ == "__main__":
    options.run_command(main)
