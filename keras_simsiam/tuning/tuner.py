"""A Keras Tuner whose trials are training runs."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import time
import traceback
from collections.abc import Iterator, Sequence

import filelock
import grpc
import keras
import keras_tuner as kt
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from keras_simsiam import metrics
from keras_simsiam.config import Run
from keras_simsiam.errors import (
    CannotWrite,
    InputError,
    LostWorker,
    Terminated,
    TrainingDiverged,
    first_line,
)
from keras_simsiam.files import why_full, written_atomically
from keras_simsiam.training.devices import Devices
from keras_simsiam.training.folder import RunFolder
from keras_simsiam.training.output import Output
from keras_simsiam.training.run import train
from keras_simsiam.training.tensorboard import keep_epochs
from keras_simsiam.tuning.ledger import Entry, Ledger
from keras_simsiam.tuning.oracles import KeptOracle
from keras_simsiam.tuning.space import Space, short

MEASURED = metrics.with_baselines(metrics.SUMMARY)
"""What is recorded of a run, if it was measured."""

ENDED_BY = {"interrupted": signal.SIGINT, "preempted": signal.SIGTERM}
"""The signal that ended a run, by the status in its outcome."""


class SweepCannotWrite(CannotWrite, kt.errors.FatalError):
    """`CannotWrite`, which ends a sweep: no other trial could be written, either."""


@contextlib.contextmanager
def writing(folder: pathlib.Path) -> Iterator[None]:
    """Raises `SweepCannotWrite` if something cannot be written within the block."""
    try:
        yield
    except Exception as e:
        if isinstance(e, SweepCannotWrite) or not (isinstance(e, OSError) or why_full(e)):
            raise
        reason = why_full(e) or getattr(e, "strerror", None) or e
        raise SweepCannotWrite(
            f"cannot write to '{folder}': {reason}; once that is mended, the same command continues"
        ) from e


class SweepTuner(kt.Tuner):
    """Trains a run for each trial and records its outcome.

    Args:
        oracle: Decides on the values; it continues from the state in the folder.
        space: Turns values into a run.
        folder: Of the sweep. It gets ``trials/`` (the ledger, and a log for each trial), ``runs/``,
            ``saved_models/`` and ``keras_tuner/``.
        trials: How many trials there will be at most.
        devices: What each trial is trained on.
        others: Folders of sweeps whose runs need not be trained again.
    """

    def __init__(
        self,
        oracle: KeptOracle,
        space: Space,
        folder: pathlib.Path,
        trials: int,
        devices: Devices,
        others: Sequence[pathlib.Path] = (),
    ):
        self.space, self.folder, self.trials = space, folder, trials
        self.devices, self.others = devices, others
        self.ledger = Ledger(folder / "trials")
        self.kept = oracle
        oracle.path, oracle.has_ended = folder / "keras_tuner" / "oracle.json", self._has_ended
        with contextlib.redirect_stdout(None):  # it prints that it reloads an earlier version's
            super().__init__(oracle, directory=str(folder), project_name="keras_tuner")
        if self._is_worker():
            self._reconnect_soon()
        else:
            oracle.reload()

    def search(self) -> None:
        """Runs the trials that are left.

        Raises:
            Terminated: If a signal ended it within a trial.
            CannotWrite: If the disk is full or read-only.
            LostWorker: If the chief of this worker is gone.
            InputError: If the chief cannot listen at its address.
        """
        try:
            # Keras Tuner prints a traceback of each failure, which is in the trial's log already.
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
                super().search(verbose=0)
        except KeyboardInterrupt:
            if self.kept.error is not None:
                raise self.kept.error from None
            raise
        except grpc.RpcError as e:
            raise LostWorker(
                f"the chief at {_chief_address()} is gone; start it again, then this worker"
            ) from e
        except RuntimeError as e:
            if "bind" not in str(e):
                raise
            raise InputError(
                f"chief must be a free address of this machine; got {_chief_address()}"
            ) from None

    def _reconnect_soon(self) -> None:
        """Has a worker find its chief within a second or so of its return.

        By default it tries every two minutes in the end. A chief that was gone might meanwhile
        finish the sweep with others, and this worker would wait for an hour.
        """
        options = [("grpc.max_reconnect_backoff_ms", 1000)]
        channel = grpc.insecure_channel(_chief_address(), options)
        self.oracle.stub = type(self.oracle.stub)(channel)

    def save(self) -> None:
        """Saves the oracle, whose state is all there is."""
        if not self._is_worker():
            self.oracle.save()

    def reload(self) -> None:
        """Nothing: the oracle is reloaded when the tuner is made."""

    def run_trial(self, trial, *args, **kwargs) -> dict[str, float]:
        """Trains a trial, or takes the outcome that an earlier process recorded.

        Args:
            trial: Holds the values, from the oracle.
            *args: Unused; the space knows the run.
            **kwargs: Unused.

        Raises:
            keras_tuner.errors.FailedTrialError: If it cannot be trained, with the cause.
        """
        number, values = int(trial.trial_id), dict(trial.hyperparameters.values)
        epochs = values.pop("tuner/epochs", None)
        values = {k: v for k, v in values.items() if not k.startswith("tuner/")}
        # A restarted chief may hand out a trial that another worker is still running: the second
        # worker waits, and finds the outcome.
        with writing(self.folder), filelock.FileLock(self.ledger.lock(number)):
            entry = self.ledger.read(number)
            if entry is None or entry.values != values:
                entry = Entry(number, values)
            if entry.status == "running":
                if not self._taken_over(entry, epochs):
                    self._train(entry, epochs)
                self.ledger.write(entry)
                print(self._result(entry), flush=True)
        if entry.failed:
            raise kt.errors.FailedTrialError(entry.cause)
        return {k: v for k, v in entry.metrics.items() if v is not None}

    def _has_ended(self, trial) -> bool:
        """Whether the oracle and the ledger both know how a trial ended."""
        entry = self.ledger.read(int(trial.trial_id))
        return trial.status != "RUNNING" and entry is not None and entry.status != "running"

    def _train(self, entry: Entry, epochs: int | None) -> None:
        """Trains, and records the outcome in the entry, whatever it is."""
        entry.attempts += 1
        entry.tuner = self.tuner_id
        self.ledger.write(entry)
        values = ", ".join(f"{name} {short(value)}" for name, value in entry.values.items())
        again = f" (started {entry.attempts} times)" if entry.attempts > 1 else ""
        print(f"trial {entry.number + 1} of {self.trials}: {values}{again}", flush=True)
        name = f"{entry.number:04d}"
        started = time.perf_counter()
        keras.backend.clear_session()
        with (self.ledger.folder / f"{name}.log").open(
            "a" if again else "w", encoding="utf-8", errors="backslashreplace"
        ) as log:
            try:
                run = self.space.run(entry.values, epochs)
                with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                    summary = self._summary(run, name)
            except Exception as e:
                if why_full(e):
                    raise
                traceback.print_exc(file=log)
                entry.status = "diverged" if isinstance(e, TrainingDiverged) else "failed"
                entry.cause = _cause(e)
                entry.metrics = {"seconds": time.perf_counter() - started}
                return
        if summary["status"] in ENDED_BY:
            raise Terminated(ENDED_BY[summary["status"]], step=summary["steps"])
        entry.metrics = {k: v for k, v in summary.items() if k in MEASURED}
        entry.status = "collapsed" if summary["collapsed"] else "finished"
        entry.cause = summary["collapse"] or ""
        self._log_hparams(entry, run)
        # Only the exported encoder is kept.
        shutil.rmtree(self.folder / "runs" / name / "checkpoints", ignore_errors=True)

    def _taken_over(self, entry: Entry, epochs: int | None) -> bool:
        """Copies a trial with its outcome from another sweep that has trained the same run."""
        run = self.space.run(entry.values, epochs)
        for folder in self.others:
            for other in Ledger(folder / "trials").entries():
                theirs, mine = f"{other.number:04d}", f"{entry.number:04d}"
                if other.status in ("finished", "collapsed") and _is(folder / "runs" / theirs, run):
                    for kind in ("runs", "saved_models"):
                        with written_atomically(self.folder / kind / mine) as copy:
                            shutil.copytree(folder / kind / theirs, copy)
                    entry.status, entry.cause = other.status, other.cause
                    entry.metrics = other.metrics
                    return True
        return False

    def _summary(self, run: Run, name: str) -> dict:
        """What comes of a trial, which goes on from where an earlier start has left it."""
        output = Output(name, str(self.folder / "runs"), str(self.folder / "saved_models"))
        folder = RunFolder(output, run.data.dataset)
        if folder.path.exists():
            try:
                resumed = output.replace(resume=True)
                return folder.ended(run) or train(run, resumed, devices=self.devices).to_dict()
            except InputError as e:
                print(f"{e}; the trial starts again")
        return train(run, output.replace(overwrite=True), devices=self.devices).to_dict()

    def _log_hparams(self, entry: Entry, run: Run) -> None:
        """Writes the trial for TensorBoard's HParams plugin."""
        logs = self.folder / "runs" / f"{entry.number:04d}" / "tensorboard"
        keep_epochs(logs, run.training.epochs)  # it may have been killed after this
        with tf.summary.create_file_writer(str(logs)).as_default(step=run.training.epochs):
            hparams.hparams(entry.values, trial_id=f"{entry.number:04d}")
            for name, value in entry.metrics.items():
                if value is not None and name in metrics.METRICS:
                    tf.summary.scalar(name, value)

    def _result(self, entry: Entry) -> str:
        """The outcome of a trial, and the progress of the sweep."""
        entries = self.ledger.entries()
        if entry.failed:
            said = f"  {entry.status}: {entry.cause}"
        else:
            shown = metrics.table_columns([entry.metrics])
            cells = [
                f"{metrics.describe(key).heading} {metrics.cell(key, entry.metrics[key])}"
                for key in shown
            ]
            said = f"  {', '.join(cells)}"
            said += ", collapsed" if entry.status == "collapsed" else ""
        best = self.ledger.best()
        if best is not None:
            accuracy = metrics.cell("knn_top1", best.accuracy)
            said += f"\n  best so far: kNN top-1 {accuracy}, trial {best.number + 1}"
        seconds = [s for e in entries if (s := e.metrics.get("seconds")) is not None]
        ended = sum(e.status != "running" for e in entries)
        at_once = 1 + len(entries) - ended
        left = (self.trials - ended) / at_once * sum(seconds) / max(1, len(seconds))
        return f"{said}; about {left / 60:.0f} min left" if left else said


def _chief_address() -> str:
    return ":".join(os.environ.get(f"KERASTUNER_ORACLE_{name}", "") for name in ("IP", "PORT"))


def _is(folder: pathlib.Path, run: Run) -> bool:
    """Whether a folder is that of a run with the same settings."""
    with contextlib.suppress(InputError):  # of another version
        return Run.load(folder / "config.yaml") == run
    return False


def _cause(error: Exception) -> str:
    """The error in one line."""
    said = first_line(error)
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError):
        return f"out of memory: {said}"
    if isinstance(error, InputError | TrainingDiverged):
        return said
    return f"{type(error).__name__}: {said}"
