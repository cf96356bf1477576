"""The report's Figure 1 and the paper's Figure 2: training with and without the stop-gradient."""

from __future__ import annotations

from experiments import common
from keras_simsiam import options, plots

VARIANTS = [
    common.Variant("with stop-gradient", {}, "67.7"),
    common.Variant("without stop-gradient", {"model": {"stop_gradient": False}}, "0.1"),
]

CITED = [
    {
        "variant": "the report, Tiny ImageNet, 50 epochs, with",
        "loss": "-0.67",
    },
    {
        "variant": "the report, without",
        "loss": "-0.875",
    },
    {
        "variant": "the paper, ImageNet, 100 epochs, with",
        "z_std": "near 1",
        "paper": "67.7 ± 0.1",
    },
    {
        "variant": "the paper, without",
        "loss": "-1",
        "z_std": "0",
        "knn_top1": "chance",
        "paper": "0.1",
    },
]
"""What the report and the paper (Figure 2) ended with."""


def main(argv: list[str] | None = None) -> None:
    """Runs what has not been run, and writes the table and the figure."""
    args = common.parse(__doc__, argv)
    rows = common.run_all(common.base_run(args), VARIANTS, args.seeds)
    name = f"stop_gradient_{args.dataset}"
    common.report(name, __doc__, args, rows, CITED)
    plots.compared_curves(
        {variant: [r["history"] for r in group] for variant, group in common.grouped(rows)},
        common.HERE / "figures" / f"{name}.png",
        f"SimSiam on {args.dataset}, mean and range of {len(args.seeds)} seeds",
        common.baselines(rows),
    )


if __name__ == "__main__":
    options.run_command(main)
