"""Keras Tuner runs the search; what is here makes each of its trials a training run."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import sys
import time
import traceback
from collections.abc import Callable

import filelock
import keras
import keras_tuner as kt
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from keras_simsiam.config import Run
from keras_simsiam.errors import InputError, TrainingDiverged
from keras_simsiam.training.devices import Devices
from keras_simsiam.training.output import Output
from keras_simsiam.training.run import train
from keras_simsiam.tuning.ledger import BASELINES, METRICS, Entry, Ledger
from keras_simsiam.tuning.space import Space

OBJECTIVE = kt.Objective("knn_top1", "max")
LARGEST_GRID = 64
"""Combinations up to which "auto" takes them all."""

MAX_TRIALS = 20
"""Trials of a random or Bayesian search where nobody says how many."""

MAX_ATTEMPTS = 3
"""Times that a trial is begun before it is given up: something kills the process each time."""


class GridOracle(kt.Oracle):
    """Goes through a list of values in order.

    Keras Tuner's own grid search does not write down where it is, and ends when it is resumed; this
    one needs to know nothing but how many trials there have been.

    Args:
        combinations: Values of each trial.
        **kwargs: As for `keras_tuner.Oracle`.
    """

    def __init__(self, combinations: list[dict], **kwargs):
        super().__init__(**kwargs)
        self.combinations = combinations

    def populate_space(self, trial_id: str) -> dict:
        """The next values, or the end."""
        number = len(self.start_order)
        if number >= len(self.combinations):
            return {"status": "STOPPED"}
        return {"status": "RUNNING", "values": self.combinations[number]}


def make_oracle(
    kind: str, space: Space, max_trials: int | None, epochs: int, seed: int
) -> tuple[kt.Oracle, int]:
    """What decides on the values of each trial, and how many trials it will have at most.

    Args:
        kind: "grid", "random", "hyperband", "bayesian", or "auto": "grid" up to `LARGEST_GRID`
            combinations, else "random".
        space: What it searches.
        max_trials: How many trials at most; all of a grid or of Hyperband where None.
        epochs: Longest training, which Hyperband shares out.
        seed: Of its draws.

    Raises:
        InputError: If a grid is asked for where there is none.
    """
    if kind == "auto":
        kind = "grid" if space.size() <= LARGEST_GRID else "random"
    hyperparameters = kt.HyperParameters()
    space.declare(hyperparameters)
    shared = {
        "objective": OBJECTIVE,
        "hyperparameters": hyperparameters,
        # Keras Tuner takes 0 for none and draws a seed.
        "seed": seed + 1,
        # A sweep goes on however many of its trials fail.
        "max_consecutive_failed_trials": sys.maxsize,
    }
    if kind == "grid":
        combinations = space.grid()
        if combinations is None:
            raise InputError(
                "this sweep has ranges, of which there is no grid; take --tuner random"
            )
        oracle = GridOracle(combinations[:max_trials], **shared)
        return oracle, len(oracle.combinations)
    if kind == "hyperband":
        oracle = kt.oracles.HyperbandOracle(max_epochs=epochs, **shared)
        # It has no public way to say how many trials its brackets have.
        trials = sum(
            oracle._get_size(bracket, round_)
            for bracket in range(oracle._get_num_brackets())
            for round_ in range(oracle._get_num_rounds(bracket))
        )
        oracle.max_trials = max_trials
        return oracle, min(trials, max_trials or trials)
    trials = int(min(max_trials or MAX_TRIALS, space.size()))
    oracles = {
        "random": kt.oracles.RandomSearchOracle,
        "bayesian": kt.oracles.BayesianOptimizationOracle,
    }
    return oracles[kind](max_trials=trials, **shared), trials


def open_tuner(
    oracle: kt.Oracle,
    space: Space,
    folder: pathlib.Path,
    trials: int,
    devices: Devices,
    is_worker: bool,
) -> SweepTuner:
    """A tuner that goes on where the sweep in the folder is; arguments as for `SweepTuner`."""
    state = oracle.get_state()
    try:
        return SweepTuner(oracle, space, folder, trials, devices)
    except ValueError:  # JSON that Keras Tuner was killed while writing
        if is_worker:
            raise
        # It draws the same values again, and trials that have ended are not run again.
        shutil.rmtree(folder / "keras_tuner")
        oracle.trials.clear()
        oracle.set_state(state)
        return SweepTuner(oracle, space, folder, trials, devices)


class SweepTuner(kt.Tuner):
    """Trains a run for each trial, and writes down what became of it.

    Args:
        oracle: Decides on the values.
        space: Makes a run of them.
        folder: Of the sweep; it gets ``trials/`` (the ledger and a log each), ``runs/``,
            ``saved_models/`` and ``keras_tuner/``.
        trials: How many trials there will be at most.
        devices: On what each is trained.
        say: Prints a line of progress.
    """

    def __init__(
        self,
        oracle: kt.Oracle,
        space: Space,
        folder: pathlib.Path,
        trials: int,
        devices: Devices,
        say: Callable[[str], None] = print,
    ):
        self.space, self.folder, self.trials = space, folder, trials
        self.devices, self.say = devices, say
        self.ledger = Ledger(folder / "trials")
        with contextlib.redirect_stdout(None):  # it says that it reloads
            super().__init__(oracle, directory=str(folder), project_name="keras_tuner")

    def search(self) -> None:
        """Runs what trials are left."""
        # Keras Tuner prints a traceback of each failure, which the trial's log has already.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            super().search(verbose=0)

    def on_search_begin(self) -> None:
        """Makes even a first trial one that is known after a restart."""
        self.save()

    def run_trial(self, trial, *args, **kwargs) -> dict[str, float]:
        """Trains, or takes what an earlier process has trained.

        Args:
            trial: With the values, from the oracle.
            *args: None; the run knows all.
            **kwargs: Of the search, for Keras Tuner itself.

        Raises:
            keras_tuner.errors.FailedTrialError: With the cause, if it cannot be trained.
        """
        number, values = int(trial.trial_id), dict(trial.hyperparameters.values)
        epochs = values.pop("tuner/epochs", None)
        values = {k: v for k, v in values.items() if not k.startswith("tuner/")}
        # A chief that was restarted may hand out a trial that is still running: whoever comes
        # second waits, and finds it done.
        with filelock.FileLock(self.ledger.lock(number)):
            entry = self.ledger.read(number)
            if entry is None or entry.values != values:
                entry = Entry(number, values)
            if entry.status == "running":
                if entry.attempts < MAX_ATTEMPTS:
                    self._train(entry, epochs)
                else:
                    entry.status = "failed"
                    entry.cause = (
                        f"the process was killed {MAX_ATTEMPTS} times while it ran, perhaps for "
                        "want of memory"
                    )
                self.ledger.write(entry)
                self.say(self._result(entry))
        if entry.status == "failed":
            raise kt.errors.FailedTrialError(entry.cause)
        return {k: v for k, v in entry.metrics.items() if v is not None}

    def _train(self, entry: Entry, epochs: int | None) -> None:
        """Trains, and puts down in the entry whatever comes of it."""
        entry.attempts += 1
        entry.tuner = self.tuner_id
        self.ledger.write(entry)
        said = ", ".join(f"{name} {short(value)}" for name, value in entry.values.items())
        self.say(f"trial {entry.number + 1} of {self.trials}: {said}")
        name = f"{entry.number:04d}"
        output = Output(
            name, str(self.folder / "runs"), str(self.folder / "saved_models"), overwrite=True
        )
        started = time.perf_counter()
        keras.backend.clear_session()
        with (self.ledger.folder / f"{name}.log").open("w") as log:
            try:
                run = self.space.run(entry.values, epochs)
                with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                    summary = train(run, output, devices=self.devices)
            except Exception as e:
                traceback.print_exc(file=log)
                entry.status, entry.cause = "failed", _cause(e)
                entry.metrics = {"seconds": time.perf_counter() - started}
                return
        if summary["status"] in ("interrupted", "preempted"):
            entry.attempts -= 1
            self.ledger.write(entry)
            raise KeyboardInterrupt
        entry.metrics = {k: summary[k] for k in (*METRICS, *BASELINES)}
        entry.status = "collapsed" if summary["collapsed"] else "finished"
        entry.cause = summary["collapse"] if summary["collapsed"] else ""
        self._log_hparams(entry, run)
        # What is kept of a trial is its encoder.
        shutil.rmtree(self.folder / "runs" / name / "checkpoints", ignore_errors=True)

    def _log_hparams(self, entry: Entry, run: Run) -> None:
        """Shows the trial to TensorBoard's HParams plugin."""
        logs = self.folder / "runs" / f"{entry.number:04d}" / "tensorboard"
        with tf.summary.create_file_writer(str(logs)).as_default(step=run.training.epochs):
            hparams.hparams(entry.values, trial_id=f"{entry.number:04d}")
            for name in METRICS:
                if entry.metrics[name] is not None:
                    tf.summary.scalar(name, entry.metrics[name])

    def _result(self, entry: Entry) -> str:
        """How a trial ended, and how far the sweep is."""
        m, entries = entry.metrics, self.ledger.entries()
        if entry.status == "failed":
            said = f"  failed: {entry.cause}"
        else:
            said = f"  kNN {m['knn_top1']:.1%}, loss {m['loss']:.3f}, z_std {m['z_std']:.2f}"
            said += f", rank {m['projector_rank']:.1f}, {m['seconds']:.0f} s"
            said += ", collapsed" if entry.status == "collapsed" else ""
        best = self.ledger.best()
        if best is not None:
            said += f"\n  best so far: kNN {best.metrics['knn_top1']:.1%}, trial {best.number + 1}"
        seconds = [e.metrics["seconds"] for e in entries if "seconds" in e.metrics]
        ended = sum(e.status != "running" for e in entries)
        at_once = 1 + len(entries) - ended
        left = (self.trials - ended) / at_once * sum(seconds) / max(1, len(seconds))
        return f"{said}; about {left / 60:.0f} min left" if left else said


def _cause(error: Exception) -> str:
    """One line for a person."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        return f"out of memory: {said}"
    if isinstance(error, InputError | TrainingDiverged):
        return said
    return f"{type(error).__name__}: {said}"


def short(value) -> str:
    """A value in few characters."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
