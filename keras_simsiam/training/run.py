"""Runs one training, from its configuration to its results."""

from __future__ import annotations

import contextlib

from keras_simsiam.config import Run
from keras_simsiam.errors import Terminated, TrainingDiverged
from keras_simsiam.training.describe import describe
from keras_simsiam.training.devices import (
    Devices,
    lost_workers,
    make_strategy,
    op_determinism,
)
from keras_simsiam.training.fit import Callbacks, fit
from keras_simsiam.training.folder import RunFolder
from keras_simsiam.training.interrupts import disk_errors, interrupts
from keras_simsiam.training.outcome import Outcome
from keras_simsiam.training.output import RESUME, Output
from keras_simsiam.training.prepare import Prepared, prepare
from keras_simsiam.training.record import record
from keras_simsiam.training.start import with_own_normalization
from keras_simsiam.training.transfer import place_of
from keras_simsiam.workers import Workers


def train(run: Run, output: Output, devices: Devices | None = None) -> Outcome:
    """Trains a run, and writes ``run_dir/name`` and ``saved_model_dir/name``.

    Ctrl-C ends the training after the current step; a checkpoint, the figures and the summary so
    far are still written. SIGTERM, which is sent before a machine is reclaimed, and SIGHUP end it
    after the current step with a checkpoint only. A second signal, or one outside the training,
    ends everything at once.

    Args:
        run: What to train.
        output: Where to write.
        devices: Where to compute. Of several workers, only the chief writes files.

    Returns:
        The outcome, which summary.json contains.

    Raises:
        InputError: If anything is invalid or unavailable; nothing has been written.
        TrainingDiverged: If the loss, a gradient or a weight is not finite. The run's folder has
            the last checkpoint before that, and figures and summary up to that point.
        CannotRead: If too many image files have become unreadable.
        CannotWrite: If the disk is full or read-only; earlier checkpoints are intact.
        CallbackFailed: If a callback of the user raises an error.
        LostWorker: If another worker is lost, or has refused its input.
        Terminated: If a signal ended everything at once. It is a KeyboardInterrupt.
    """
    devices, run = devices or Devices(), with_own_normalization(run)
    if run.model.start_from is not None:
        place = place_of(run.model.start_from, output.run_dir)
        run = run.replace(model={"start_from": place})
    folder = RunFolder(output, run.data.dataset)
    if output.resume:
        folder.check_begun()
    strategy = make_strategy(devices)
    go_on = RESUME if output.resume else ""
    with (
        op_determinism(run.training.deterministic),
        disk_errors(folder),
        lost_workers("restart all workers with --resume"),
        contextlib.ExitStack() as held,
    ):
        try:
            workers = Workers(strategy)
            with workers.agreed():
                if workers.chief:
                    held.enter_context(folder.claimed())
            prepared = prepare(run, output, devices, folder, strategy)
            go_on = RESUME
            outcome, error = _train(prepared)
        except KeyboardInterrupt as e:
            raise Terminated.of(e, go_on) from e
    if error is not None:
        raise error
    return outcome


def _train(prepared: Prepared) -> tuple[Outcome, TrainingDiverged | None]:
    """Trains a prepared run; returns the outcome, and the error if it diverged."""
    if prepared.chief:
        print(f"{describe(prepared)}\n", flush=True)
    callbacks = Callbacks.of(prepared)
    with interrupts(prepared, callbacks.checkpoints, callbacks.preemption) as ending:
        fit(prepared, callbacks)
    if ending.status == "stopped" and callbacks.collapse.stop and callbacks.collapse.collapse:
        ending.status = "collapsed"
    return record(prepared, callbacks, ending), ending.error
