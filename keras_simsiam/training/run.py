"""One training run, from its configuration to its results."""

from __future__ import annotations

from keras_simsiam.config import Run
from keras_simsiam.training.describe import describe
from keras_simsiam.training.devices import Devices, op_determinism
from keras_simsiam.training.fit import Callbacks, fit
from keras_simsiam.training.interrupts import interrupts
from keras_simsiam.training.outcome import Outcome
from keras_simsiam.training.output import Output
from keras_simsiam.training.prepare import prepare
from keras_simsiam.training.record import record


def train(run: Run, output: Output, devices: Devices | None = None) -> Outcome:
    """Trains, and writes ``run_dir/name`` and ``saved_model_dir/name``.

    Ctrl-C ends the training; a checkpoint, the figures and the summary so far are written all the
    same. SIGTERM, which precedes the loss of a preemptible machine, ends it after the current step
    with a checkpoint and nothing else.

    Args:
        run: What to train.
        output: Where to write.
        devices: Where to compute. Of several workers, only the chief writes files.

    Returns:
        The outcome, which summary.json contains.

    Raises:
        InputError: If anything is invalid or unavailable; nothing has been written.
        TrainingDiverged: If the loss, a gradient or a weight is not finite. The run's folder has
            the last checkpoint before that, and figures and summary up to there.
        CannotWrite: If the disk is full or read-only; earlier checkpoints are intact.
        LostWorker: If another worker is gone.
    """
    with op_determinism(run.training.deterministic):
        prepared = prepare(run, output, devices or Devices())
        if prepared.chief:
            print(f"{describe(prepared)}\n", flush=True)
        callbacks = Callbacks.of(prepared)
        with interrupts(prepared, callbacks.checkpoints, callbacks.preemption) as ending:
            fit(prepared, callbacks)
        outcome = record(prepared, callbacks, ending)
    if ending.error is not None:
        raise ending.error
    return outcome
