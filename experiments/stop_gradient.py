"""The report's Figure 1 and the paper's Figure 2: training with and without the stop-gradient."""

from __future__ import annotations

from experiments import common
from keras_simsiam import options, plots

VARIANTS = [
    common.Variant("with stop-gradient", {}, "67.7"),
    common.Variant("without stop-gradient", {"model": {"stop_gradient": False}}, "0.1"),
]


def main(argv: list[str] | None = None) -> None:
    """Runs what has not been run, and writes the table and the figure."""
    args = common.parse(__doc__, argv)
    rows = common.run_all(common.base_run(args), VARIANTS, args.seeds)
    name = f"stop_gradient_{args.dataset}"
    common.report(name, __doc__, args, rows)
    plots.compared_curves(
        {variant: [r["history"] for r in group] for variant, group in common.grouped(rows)},
        common.HERE / "figures" / f"{name}.png",
        f"SimSiam on {args.dataset}, mean and range of {len(args.seeds)} seeds",
        common.baselines(rows),
    )


if __name__ == "__main__":
    options.run_command(main)
