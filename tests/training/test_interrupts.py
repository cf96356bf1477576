"""Signals in a training: once they wait for the step, twice or before the first they do not."""

import contextlib
import errno
import os
import signal
import threading
import types

import pytest
import tensorflow as tf

from keras_simsiam.errors import CannotWrite, Terminated, TrainingDiverged
from keras_simsiam.presets import preset
from keras_simsiam.training.folder import RunFolder
from keras_simsiam.training.interrupts import Preemption, Stopped, disk_errors, interrupts
from keras_simsiam.training.output import Output

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Saved:
    """Stands for checkpoints, and counts them."""

    count = 0

    def save_within_epoch(self):
        self.count += 1


def send(number):
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def usual_handlers():
    """Those of a shell's foreground process; a test must leave them as they were."""
    before = {n: signal.getsignal(n) for n in SIGNALS}
    usual = {n: lambda *_: pytest.fail("not handled") for n in SIGNALS}
    usual[signal.SIGINT] = signal.default_int_handler
    for number, handler in usual.items():
        signal.signal(number, handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_for_the_step_and_saves_a_checkpoint(number):
    saved = Saved()
    preemption = Preemption(saved)
    with preemption.listening():
        preemption.on_train_batch_end(0)
        send(number)
        assert saved.count == 0
        with pytest.raises(Stopped) as stopped:
            preemption.on_train_batch_end(1)
    assert (stopped.value.number, saved.count) == (number, 1)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_an_evaluation_waits_for_the_checkpoint_of_the_epoch(number):
    saved = Saved()
    preemption = Preemption(saved)
    with preemption.listening():
        preemption.on_train_batch_end(0)
        send(number)
        with pytest.raises(Stopped):
            preemption.on_epoch_end(0)
    assert saved.count == 0  # `Checkpoints`, which precedes it, has saved one


def test_another_worker_than_the_chief_takes_part_in_two_more_steps():
    preemption = Preemption(None)
    with preemption.listening():
        preemption.on_train_batch_end(0)
        send(signal.SIGTERM)
        preemption.on_train_batch_end(1)
        preemption.on_epoch_end(0)
        preemption.on_train_batch_end(2)
        with pytest.raises(Stopped):
            preemption.on_train_batch_end(3)


@pytest.mark.parametrize(("chief", "signalled"), [(False, True), (False, False), (True, True)])
def test_a_worker_that_loses_the_chief_to_its_own_signal_is_preempted(chief, signalled):
    model = types.SimpleNamespace(stop_training=False)
    prepared, preemption = types.SimpleNamespace(model=model, chief=chief), Preemption(None)
    if signalled:
        preemption.received = Stopped(signal.SIGTERM)
    lost = tf.errors.UnavailableError(None, None, "Connection reset by peer")
    expected = contextlib.nullcontext() if signalled and not chief else pytest.raises(type(lost))
    with expected, interrupts(prepared, Saved(), preemption) as ending:
        raise lost
    assert ending.status == ("preempted" if signalled and not chief else "finished")


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("steps", [0, 1])
def test_a_second_signal_and_one_before_the_first_step_end_at_once(number, steps):
    preemption = Preemption(None)
    with preemption.listening():
        for step in range(steps):
            preemption.on_train_batch_end(step)
            send(number)
        with pytest.raises(Terminated) as terminated:
            send(number)
    assert terminated.value.number == number


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_ignored_stays_ignored(number):
    """As SIGHUP is by nohup, and SIGINT by a shell's &."""
    signal.signal(number, signal.SIG_IGN)
    preemption = Preemption(None)
    with preemption.listening():
        preemption.on_train_batch_end(0)
        send(number)
        preemption.on_train_batch_end(1)


def test_only_the_main_thread_receives_signals():
    def listen():
        with Preemption(None).listening():
            handlers.append(signal.getsignal(signal.SIGINT))

    handlers = []
    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Stopped(signal.SIGINT), "interrupted"),
        (Stopped(signal.SIGTERM), "preempted"),
        (Stopped(signal.SIGHUP), "preempted"),
        (KeyboardInterrupt(), "interrupted"),
        (TrainingDiverged("the loss became nan"), "diverged"),
    ],
)
def test_what_ended_a_training_is_its_status(error, status):
    model = types.SimpleNamespace(stop_training=False, steps_done=3)
    prepared, saved = types.SimpleNamespace(model=model, chief=True), Saved()
    with interrupts(prepared, saved, Preemption(saved)) as ending:
        raise error
    assert ending.status == status
    assert saved.count == isinstance(error, KeyboardInterrupt)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(Output("run", str(tmp_path / "runs"), str(tmp_path / "saved")), "cifar10")


@pytest.mark.parametrize("begun", [False, True])
def test_a_full_disk_is_one_line_that_says_how_to_go_on(begun, folder):
    if begun:
        with folder.claimed():
            folder.create(preset("photo_patches"), {})
    how = "continue with --resume" if begun else "start again"
    with (
        pytest.raises(CannotWrite, match=f"runs/run' or .*: No space left on device.*{how}"),
        disk_errors(folder),
    ):
        raise RuntimeError("saved/variables; No space left on device [Op:SaveV2]")


def test_only_what_concerns_the_files_of_the_run_is_an_error_of_the_disk(folder):
    denied = os.strerror(errno.EACCES)
    with pytest.raises(CannotWrite, match=denied), disk_errors(folder):
        raise PermissionError(errno.EACCES, denied, str(folder.path / "history.csv"))
    with pytest.raises(PermissionError), disk_errors(folder):
        raise PermissionError(errno.EACCES, denied, "/data/image.jpg")
