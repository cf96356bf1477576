"""What may end a training early, and what remains of it then.

- Ctrl-C: a checkpoint, and the results so far.
- SIGTERM, sent before a machine is taken away: a checkpoint after the current step.
- Divergence: the checkpoint before it, and the results so far.
- A full disk, or the loss of another worker: the last checkpoint.
"""

from __future__ import annotations

import contextlib
import errno
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import tensorflow as tf

from keras_simsiam.errors import CannotWrite, LostWorker, TrainingDiverged
from keras_simsiam.models.gradients import NOT_FINITE
from keras_simsiam.training.callbacks import diverged
from keras_simsiam.training.checkpoints import Checkpoints
from keras_simsiam.training.outcome import Status
from keras_simsiam.training.prepare import Prepared


@dataclass
class Ending:
    """How a training ended.

    Attributes:
        status: See `Outcome`.
        error: The error of a training that diverged.
        seconds: Duration of the training.
    """

    status: Status = "finished"
    error: TrainingDiverged | None = None
    seconds: float = 0.0


@contextlib.contextmanager
def interrupts(
    prepared: Prepared, checkpoints: Checkpoints, preemption: Preemption
) -> Iterator[Ending]:
    """Handles whatever may end a training within the block, and yields how it ended.

    Args:
        prepared: The run.
        checkpoints: Saves a checkpoint after Ctrl-C; those of a worker that is not the chief save
            nothing.
        preemption: Saves one after SIGTERM; it must be among the callbacks of `fit`.

    Raises:
        LostWorker: If another worker is gone.
        CannotWrite: If the disk is full or read-only.
    """
    ending, started = Ending(), time.perf_counter()
    try:
        with preemption.listening(), _understandable_errors(prepared):
            yield ending
        if prepared.model.stop_training:
            ending.status = "collapsed"
    except KeyboardInterrupt:
        ending.status = "interrupted"
        if prepared.chief:
            print("\ninterrupted: saving a checkpoint, the figures and the summary so far")
            checkpoints.save_within_epoch()
    except Preempted:
        ending.status = "preempted"
    except TrainingDiverged as e:
        ending.status, ending.error = "diverged", e
    ending.seconds = time.perf_counter() - started


class Preempted(Exception):
    """SIGTERM was received, and a checkpoint has been saved."""


class Preemption(keras.callbacks.Callback):
    """Ends `fit` after the current step once SIGTERM is received.

    Args:
        checkpoints: Saves a checkpoint then; None for a worker that is not the chief.
    """

    def __init__(self, checkpoints: Checkpoints | None):
        super().__init__()
        self.checkpoints = checkpoints
        self.received = threading.Event()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handles SIGTERM within the block; a second SIGTERM ends the process."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread receives signals
            return

        def receive(*_):
            signal.signal(signal.SIGTERM, before)
            self.received.set()

        before = signal.signal(signal.SIGTERM, receive)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def on_train_batch_end(self, batch, logs=None):
        """Raises:
        Preempted: If SIGTERM was received.
        """
        if self.received.is_set():
            if self.checkpoints is not None:
                self.checkpoints.save_within_epoch()
            raise Preempted


@contextlib.contextmanager
def _understandable_errors(prepared: Prepared) -> Iterator[None]:
    """Replaces errors of TensorFlow and the operating system by ones that say what to do."""
    try:
        yield
    except tf.errors.InvalidArgumentError as e:
        layer = re.search(rf"{NOT_FINITE}\] \[([^\]]*)\]", str(e))
        if layer is None:
            raise
        step = prepared.model.steps_done + 1
        raise diverged(f"{NOT_FINITE} {layer[1]},", step) from e
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as e:
        raise LostWorker(
            "another worker of this training is gone; restart all workers with --resume"
        ) from e
    except OSError as e:
        if e.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        raise CannotWrite(
            f"cannot write to '{prepared.folder.path}': {e.strerror or e}. Its checkpoints are "
            "intact; make room and continue with --resume"
        ) from e
