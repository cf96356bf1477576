"""Trains SimSiam or another method: ``python -m keras_simsiam.train``."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from keras_simsiam import metrics, options
from keras_simsiam.errors import Terminated
from keras_simsiam.training.devices import Devices
from keras_simsiam.training.fitting import Fitting
from keras_simsiam.training.outcome import Outcome
from keras_simsiam.training.output import RESUME, Output


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and trains; returns the exit code."""
    parser = options.Parser("train", "Train SimSiam, or another method, on images without labels.")
    parser.add_arguments(Output, dest="output")
    parser.add_arguments(Devices, dest="devices")
    fitting = Fitting(argv)
    run, parsed = options.parse_run(parser, argv, fitting.fit)

    from keras_simsiam.training.run import train  # imports TensorFlow, which takes seconds

    if fitting.reason is not None:
        print(fitting.describe(run), flush=True)
    outcome = train(run, parsed.output, parsed.devices)
    if outcome.status == "preempted":
        raise Terminated(signal.SIGTERM, RESUME, outcome.steps)
    if outcome.metrics:  # this process is the chief
        print(f"\n{_table(outcome)}")
    return 130 if outcome.status == "interrupted" else 0


def _table(outcome: Outcome) -> str:
    """The outcome of a run, a line per metric that was measured."""
    measured = {key: v for key, v in outcome.to_dict().items() if v is not None}
    rows = {
        f"{outcome.status}, epochs": f"{outcome.epochs}",
        **metrics.formatted(measured),
        "SavedModel": outcome.saved_model or "-",
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


if __name__ == "__main__":
    options.run_command(main)
