"""The paper's Table 2: batches of 16 to 1024, the learning rate scaled with them."""

from __future__ import annotations

from experiments import common
from keras_simsiam import options, plots

PAPER = {64: "66.1", 128: "67.3", 256: "68.1", 512: "68.1", 1024: "68.0"}
SIZES = (16, 32, 64, 128, 256, 512, 1024)
WARMED_UP = 1024  # and more; a tenth of the training, as in the paper


def variant(batch: int, epochs: int) -> common.Variant:
    """A batch size; `paper_optimizers` scales the rate by it."""
    warmup = max(1, epochs // 10) if batch >= WARMED_UP else 0
    training = {"batch_size": batch, "warmup_epochs": warmup}
    return common.Variant(f"batch {batch}", {"training": training}, PAPER.get(batch, ""))


def main(argv: list[str] | None = None) -> None:
    """Runs what has not been run, and writes the table and the figure."""
    args = common.parse(__doc__, argv)
    base = common.base_run(args)
    variants = [variant(batch, base.training.epochs) for batch in SIZES]
    rows = common.run_all(base, variants, args.seeds)
    name = f"batch_size_{args.dataset}"
    common.report(name, __doc__, args, rows)
    groups = zip(SIZES, common.grouped(rows), strict=True)
    plots.metric_over(
        "batch size",
        {"knn_top1": {batch: [r["knn_top1"] for r in group] for batch, (_, group) in groups}},
        common.HERE / "figures" / f"{name}.png",
        f"{args.dataset}, {base.training.epochs} epochs, {len(args.seeds)} seeds",
        common.baselines(rows),
    )


if __name__ == "__main__":
    options.run_command(main)
