"""Trains SimSiam: ``python -m keras_simsiam.train``; ``--help`` lists the options."""

from __future__ import annotations

from collections.abc import Sequence

from keras_simsiam import options
from keras_simsiam.training.devices import Devices
from keras_simsiam.training.output import Output


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and trains; gives the exit code."""
    parser = options.Parser("train", "Train SimSiam on images without labels.")
    parser.add_arguments(Output, dest="output")
    parser.add_arguments(Devices, dest="devices")
    run, parsed = options.parse_run(parser, argv)

    from keras_simsiam.training.run import train  # brings TensorFlow, which takes seconds

    summary = train(run, parsed.output, devices=parsed.devices)
    if summary["status"] == "preempted":
        print(
            f"\npreempted: step {summary['steps']:,} is in the checkpoint; the same command with "
            "--resume goes on"
        )
        return 0
    if "epochs" in summary:  # which a worker that is not the chief does not know
        print(_table(summary))
    return 130 if summary["status"] == "interrupted" else 0


def _table(summary: dict) -> str:
    """The end of a run, for people."""

    def percent(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    def number(value: float | None, places: int) -> str:
        return "-" if value is None else f"{value:,.{places}f}"

    rows = {
        f"{summary['status']}, epochs": summary["epochs"],
        "loss": number(summary["loss"], 3),
        "z_std (1 spread, 0 collapsed)": number(summary["z_std"], 3),
        "kNN top-1, SimSiam": percent(summary["knn_top1"]),
        "kNN top-1, random weights": percent(summary["knn_top1_random_weights"]),
        "kNN top-1, raw pixels": percent(summary["knn_top1_raw_pixels"]),
        "images a second": number(summary["images_per_second"], 0),
        "minutes": number(summary["seconds"] / 60, 1),
        "SavedModel": summary["saved_model"] or "-",
    }
    width = max(map(len, rows))
    return "\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


if __name__ == "__main__":
    options.run_command(main)
