"""Searches for the best settings: ``python -m keras_simsiam.tune SWEEP``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_simsiam import metrics, options, tables
from keras_simsiam.training.devices import Devices
from keras_simsiam.tuning import sweeps
from keras_simsiam.tuning.search import Search, run_sweep

if TYPE_CHECKING:
    from keras_simsiam.tuning.results import Found


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and searches; returns the exit code."""
    parser = options.Parser("tune", "Search for settings with Keras Tuner, by kNN accuracy.")
    parser.usage = "python -m keras_simsiam.tune SWEEP [options]"
    parser.add_argument(
        "sweep", metavar="SWEEP", help=f"{', '.join(sweeps.SWEEPS)}, or a YAML file of your own"
    )
    parser.add_arguments(Search, dest="search")
    parser.add_arguments(Devices, dest="devices")
    run, parsed = options.parse_run(parser, argv)
    spec = sweeps.find(parsed.sweep, run)
    found = run_sweep(parsed.sweep, spec, run, parsed.search, parsed.devices)
    if found is None:
        print("no more trials; the chief has the results")
        return 0
    print(_conclusion(found))
    return 0 if found.best() else 1


def _conclusion(found: Found) -> str:
    """The table, and what was best and where it is."""
    from keras_simsiam.tuning.results import trials_table  # TensorFlow takes seconds to import

    table = f"\n{tables.markdown(trials_table(found))}\n\n"
    best = found.best()
    if best is None:
        entries = [e for line in found.lines for e in line.entries]
        causes = sorted({e.cause for e in entries})
        return f"{table}none of {len(entries)} trials succeeded: {'; '.join(causes)}"
    return (
        f"{table}best: trial {best.number + 1}, "
        f"kNN top-1 {metrics.cell('knn_top1', best.accuracy)}\n"
        f"its settings  {found.folder / 'best.yaml'}   (for train --config)\n"
        f"its encoder   {found.export}\n"
        f"table, figure {found.folder / 'results.csv'}, {found.folder / 'results.png'}\n"
        f"TensorBoard   tensorboard --logdir {found.folder / 'runs'}"
    )


if __name__ == "__main__":
    options.run_command(main)
