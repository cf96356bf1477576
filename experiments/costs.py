"""What a training step costs: time and memory, each variant in a process of its own."""

from __future__ import annotations

import functools
import json
import os
import statistics
from collections.abc import Callable

from experiments.benchmarks import common as benchmarks
from experiments.benchmarks.train import steps_of
from keras_simsiam import Run
from keras_simsiam.documents import read_json
from keras_simsiam.files import write_json
from keras_simsiam.tuning.results import Found, Line

ROUNDS = 2
"""Measurements of each variant, in turn; the median counts."""

SECONDS = 3.0
"""Duration of a measurement, at least."""


def add(found: Found) -> None:
    """Adds ``step_ms`` and ``step_memory`` to the metrics of all trials that have a result.

    Variants that differ only in the length of training are measured once. What was measured is kept
    in the folder of the sweep.
    """
    kept = found.folder / "costs.json"
    known = read_json(kept) if kept.exists() else {}
    keys, left = {}, {}
    for line in found.lines:
        if not all(entry.failed for entry in line.entries):
            run = _one_step(found, line)
            keys[line.label] = key = json.dumps(run.to_dict()["model"], sort_keys=True)
            if key not in known and key not in left:
                left[key] = line.label, run
    if left:
        measured = _measure(dict(left.values()))
        known |= {key: measured[label] for key, (label, _) in left.items()}
        write_json(kept, known)
    for line in found.lines:
        for entry in line.entries:
            if not entry.failed:
                entry.metrics.update(known[keys[line.label]])


def _one_step(found: Found, line: Line) -> Run:
    """The run of a line, the network untrained: every variant steps through the same numbers."""
    run = found.space.run(line.entries[0].values)
    return run.replace(training={"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.0, "seed": 0})


def _measure(runs: dict[str, Run]) -> dict[str, dict[str, float]]:
    """Milliseconds of a step, and MiB resident in the process that takes it."""
    makers = {label: functools.partial(steps, run) for label, run in runs.items()}
    with benchmarks.processes(makers, cores=os.cpu_count() or 1, seconds=SECONDS) as rivals:
        found = benchmarks.paired(rivals, ROUNDS)
        return {
            label: {"step_ms": 1000 / statistics.median(v), "step_memory": rivals[label].memory}
            for label, v in found.items()
        }


def steps(run: Run) -> Callable[[], int]:
    """The training step of a run, its input included: a function that takes one."""
    from keras_simsiam.training import threads
    from keras_simsiam.training.inputs import load_inputs, views_of
    from keras_simsiam.training.prepare import build_model

    threads.one_core_per_view()  # as the training command does
    inputs = load_inputs(run)
    return steps_of(build_model(run, inputs), views_of(run, inputs), 1)
