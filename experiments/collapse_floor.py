"""Why the report's collapsed loss ends at -0.87: the batch size, and four departures of its code.

The report trained without the stop-gradient and saw -0.87 where the paper saw -1. Its code differs
from the paper's in four ways: batches of 16, gradients that are never zeroed between steps,
D(p1, z2) counted twice instead of the symmetric loss, and Adam at 4e-4. At the same number of steps
this changes first the batch size, then each of the four, then all.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments import common
from keras_simsiam import options, plots
from keras_simsiam.tuning import sweeps

BATCHES = {f"batch {batch}": batch for batch in sweeps.FLOOR_BATCHES}


def main(argv: Sequence[str] | None = None) -> int:
    """Trains what is left to train, and writes the tables and the figure."""
    args = common.parser(__doc__.split("\n")[0]).parse_args(argv)
    found = common.search("collapse_floor", args)
    batches = [line for line in found.lines if line.label in BATCHES]
    name, title = "collapse_floor_batch", "Without the stop-gradient, over the batch size."
    common.publish(name, title, args, found._replace(lines=batches))
    plots.metric_over(
        "images that BatchNorm sees",
        {"loss": {BATCHES[line.label]: line.measured("loss") for line in batches}},
        common.figure_path(name, args),
        f"without stop-gradient on {args.dataset}, {sweeps.FLOOR_STEPS} steps",
        references={"the report, batch 16": -0.87},
    )
    sizes = {line.label: line for line in batches}
    others = [line for line in found.lines if line not in batches]
    departures = [sizes["batch 64"], sizes["batch 16"], *others]
    title = "Without the stop-gradient: batch 64 as in the paper, and the report's departures."
    common.publish("collapse_floor_departures", title, args, found._replace(lines=departures))
    return 0


if __name__ == "__main__":
    options.run_command(main)
