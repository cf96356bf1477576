"""The outcome of a run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

Status = Literal["finished", "collapsed", "stopped", "interrupted", "preempted", "diverged"]
"""How a run ended: "collapsed" if it was stopped because of a collapse, "stopped" by a callback of
the user, "interrupted" by Ctrl-C, "preempted" by SIGTERM or SIGHUP."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run, which summary.json contains.

    Attributes:
        status: How the run ended.
        dataset: Name of the dataset.
        metrics: Metrics of the last epoch, final accuracies and baselines by key, see
            `keras_simsiam.metrics`; None for those that were not measured. Empty for a preempted
            run, and for workers other than the chief.
        baseline_images: The images that the kNN baselines were measured on, such as "4,500 training
            and 900 test images"; None if they were not measured.
        collapse: The warning of `CollapseMonitor`; None if there was none.
        collapsed: Whether the representations were collapsed after the last epoch.
        images_per_second: Training throughput; None if no step was timed.
        epochs: Number of complete epochs.
        steps: Number of training steps, including those before the run was resumed.
        seconds: Duration of the training and its evaluations, since it was last resumed; without
            the final evaluation.
        seed: Seed of the run.
        saved_model: Folder of the exported encoder; None if none was exported.
        versions: Versions of this package, TensorFlow and Keras.
        processor: The processor's model and its number of cores.
    """

    status: Status
    dataset: str
    metrics: dict[str, float | None]
    baseline_images: str | None
    collapse: str | None
    collapsed: bool
    images_per_second: float | None
    epochs: int
    steps: int
    seconds: float
    seed: int
    saved_model: str | None
    versions: dict[str, str]
    processor: str

    def to_dict(self) -> dict:
        """The content of summary.json: the fields, with a key for each metric."""
        flat: dict = {}
        for name, value in dataclasses.asdict(self).items():
            flat |= value if name == "metrics" else {name: value}
        return flat
