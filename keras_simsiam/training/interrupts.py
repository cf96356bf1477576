"""What may end a training early, and what is saved then.

- Ctrl-C: a checkpoint, and the results so far.
- SIGTERM, sent before a machine is reclaimed, and SIGHUP, sent when a terminal is closed: a
  checkpoint after the current step.
- A second signal, or one before the first step is done: the last checkpoint.
- Divergence: the checkpoint before it, and the results so far.
- A full disk, or the loss of another worker: the last checkpoint.
"""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import tensorflow as tf

from keras_simsiam.errors import CannotRead, CannotWrite, Terminated, TrainingDiverged
from keras_simsiam.files import why_full
from keras_simsiam.models.gradients import NOT_FINITE
from keras_simsiam.training.callbacks import diverged
from keras_simsiam.training.checkpoints import Checkpoints
from keras_simsiam.training.folder import RunFolder
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
    """Handles whatever may end the training in the block, and yields how it ended.

    Args:
        prepared: The run.
        checkpoints: Saves a checkpoint after Ctrl-C, if this process is the chief.
        preemption: Saves one after a signal; it must be among the callbacks of `fit`.

    Raises:
        Terminated: If a signal ends the training at once.
    """
    ending, started = Ending(), time.perf_counter()
    try:
        with preemption.listening(), _understandable_errors(prepared):
            yield ending
            preemption.stop_if_received()
        if prepared.model.stop_training:
            ending.status = "stopped"
    except Stopped as e:
        ending.status = e.status
    except tf.errors.OpError:
        if prepared.chief or preemption.received is None:
            raise
        # The chief, which received the signal as well, has saved a checkpoint and is gone.
        ending.status = preemption.received.status
    except Terminated:
        raise
    except KeyboardInterrupt:  # not from our handler; in a notebook or a thread, for example
        ending.status = "interrupted"
        if prepared.chief:
            _save_after_ctrl_c(checkpoints)
    except TrainingDiverged as e:
        ending.status, ending.error = "diverged", e
    ending.seconds = time.perf_counter() - started


class Stopped(Exception):
    """A signal was received, and a checkpoint has been saved.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number

    @property
    def status(self) -> Status:
        """How it ends a training."""
        return "interrupted" if self.number == signal.SIGINT else "preempted"


class Preemption(keras.callbacks.Callback):
    """Ends `fit` after the current step, or evaluation, once a signal is received.

    Workers other than the chief take part in two more steps: the chief may receive the same signal
    a moment later, and cannot finish its step, and save a checkpoint, without them.

    It must be the last of the callbacks.

    Args:
        checkpoints: Saves a checkpoint then; None for workers other than the chief.

    Attributes:
        received: The signal; None if there was none.
    """

    def __init__(self, checkpoints: Checkpoints | None):
        super().__init__()
        self.checkpoints = checkpoints
        self.received: Stopped | None = None
        self._trained = False
        self._more = 2 if checkpoints is None else 0  # steps after the signal

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handles Ctrl-C, SIGTERM and SIGHUP within the block, unless they are ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread receives signals
            return
        before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        if before[signal.SIGINT] is not signal.default_int_handler:
            del before[signal.SIGINT]  # a program that uses this package handles it
        # nohup ignores SIGHUP, for example.
        before = {n: by for n, by in before.items() if by not in (signal.SIG_IGN, None)}
        for number in before:
            signal.signal(number, self._receive)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_train_batch_end(self, batch, logs=None):
        """Saves a checkpoint and stops if a signal was received.

        Raises:
            Stopped: If so.
        """
        self._trained = True
        if self.received is None:
            return
        if self._more:
            self._more -= 1
            return
        if self.checkpoints is not None:
            if self.received.number == signal.SIGINT:
                _save_after_ctrl_c(self.checkpoints)
            else:
                self.checkpoints.save_within_epoch()
        raise self.received

    def on_epoch_end(self, epoch, logs=None):
        """Stops if a signal was received; the checkpoint of the epoch has just been saved.

        Raises:
            Stopped: If so.
        """
        if not self._more:
            self.stop_if_received()

    def stop_if_received(self) -> None:
        """Raises Stopped if a signal was received."""
        if self.received is not None:
            raise self.received

    def _receive(self, number: int, _frame) -> None:
        if self.received is not None or not self._trained:
            raise Terminated(number)
        self.received = Stopped(number)


def _save_after_ctrl_c(checkpoints: Checkpoints) -> None:
    print("\ninterrupted: saving a checkpoint, the figures and the summary so far", flush=True)
    checkpoints.save_within_epoch()


@contextlib.contextmanager
def _understandable_errors(prepared: Prepared) -> Iterator[None]:
    """Replaces errors that TensorFlow raises in graphs by ones that say what to do."""
    try:
        yield
    except tf.errors.InvalidArgumentError as e:
        layer = re.search(rf"{NOT_FINITE}\] \[([^\]]*)\]", str(e))
        if layer is None:
            raise
        step = prepared.model.steps_done + 1
        raise diverged(f"{NOT_FINITE} {layer[1]},", step) from e
    except tf.errors.UnknownError as e:
        unread = re.search(rf"{CannotRead.__name__}: (.*)", str(e))  # raised within tf.data
        if unread is None:
            raise
        raise CannotRead(unread[1]) from e


@contextlib.contextmanager
def disk_errors(folder: RunFolder) -> Iterator[None]:
    """Replaces errors when writing a run's files by one that says what to do.

    Raises:
        CannotWrite: If a disk is full, or one of the files cannot be written.
    """
    try:
        yield
    except Exception as e:
        why = why_full(e)
        if why is None and isinstance(e, OSError) and folder.owns(e.filename):
            why = e.strerror or str(e)
        if why is None:
            raise
        raise CannotWrite(
            f"cannot write to '{folder.path}' or '{folder.saved_model}': {why}. What is written is "
            f"intact; {folder.how_to_go_on()} once that is mended"
        ) from e
