"""Trains a prepared run: its callbacks, and Keras's `fit`."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import tensorflow as tf

from keras_simsiam import augment, plots
from keras_simsiam.environment import processor
from keras_simsiam.metrics import baseline_key
from keras_simsiam.models.batches import unpacked
from keras_simsiam.training.callbacks import (
    AfterFirstStep,
    EpochLines,
    HistoryFile,
    StopOnBadLoss,
    Throughput,
    read_history,
)
from keras_simsiam.training.checkpoints import Checkpoints
from keras_simsiam.training.collapse import CollapseMonitor
from keras_simsiam.training.devices import share_out
from keras_simsiam.training.input_wait import InputWait, remedies
from keras_simsiam.training.inputs import Inputs, made_natively, views_of
from keras_simsiam.training.interrupts import Preemption
from keras_simsiam.training.monitors import KNNMonitor
from keras_simsiam.training.prepare import Prepared
from keras_simsiam.training.tensorboard import EpochCurves, keep_epochs


@dataclass(frozen=True)
class Callbacks:
    """The callbacks of a run that are used beyond `fit`, or that resume."""

    throughput: Throughput
    input_wait: InputWait | None
    collapse: CollapseMonitor
    knn: KNNMonitor | None
    history: HistoryFile
    checkpoints: Checkpoints
    preemption: Preemption

    @classmethod
    def of(cls, prepared: Prepared) -> Callbacks:
        """The callbacks of a run; in a resumed run, with the state in its checkpoint."""
        run, inputs, folder = prepared.run, prepared.inputs, prepared.folder
        service = prepared.devices.data_service
        natively = made_natively(run, inputs, service)
        state = _resumed_state(prepared, natively)
        collapse = CollapseMonitor(
            inputs.images,
            stop=run.training.stop_on_collapse,
            log_dir=str(folder.path / "tensorboard") if prepared.chief else None,
        )
        collapse.set_state(state)
        history = HistoryFile(folder.path / "history.csv", state["history"])
        checkpoints = Checkpoints(
            folder.checkpoints,
            prepared.output,
            remember=lambda: {
                "dataset": inputs.description,
                "fingerprints": inputs.fingerprints,
                "processor": processor(),
                "native": natively,
                "history": [r for r in history.rows if r["epoch"] <= checkpoints.epochs],
                **collapse.get_state(),
            },
            resumed=state,
        )
        checkpoints.set_model(prepared.model)
        input_wait = None
        if InputWait.measurable():
            helping = remedies(run, inputs, natively, service) if prepared.chief else []
            input_wait = InputWait(inputs.steps_per_epoch, helping)
        return cls(
            Throughput(inputs.batch_size, inputs.steps),
            input_wait,
            collapse,
            inputs.monitor,
            history,
            checkpoints,
            Preemption(checkpoints if prepared.chief else None),
        )

    def in_order(self, prepared: Prepared) -> list[keras.callbacks.Callback]:
        """All callbacks for `fit`, those that log metrics before those that write them."""
        logging = [self.throughput, self.input_wait, StopOnBadLoss(), self.collapse, self.knn]
        first, writing = [], []
        if prepared.chief:
            first = [AfterFirstStep(functools.partial(_draw_views, prepared))]
            writing = [
                *prepared.users,
                self.history,
                EpochCurves(prepared.folder.path / "tensorboard/train"),
                None if sys.stdout.isatty() else EpochLines(prepared.inputs.epochs),
                # After whatever else is written about an epoch, because it marks the epoch as done.
                self.checkpoints,
            ]
        return [c for c in (*first, *logging, *writing, self.preemption) if c is not None]


_MADE = {True: "made by keras_simsiam.native", False: "made by TensorFlow"}


def _resumed_state(prepared: Prepared, natively: bool) -> dict:
    """The state in the checkpoint, completed by what those of earlier versions lack."""
    per_epoch, steps = prepared.inputs.steps_per_epoch, prepared.model.steps_done
    state = {"epochs": steps // per_epoch, **prepared.resumed}
    before = state.get("processor", processor())
    if before != processor() and prepared.run.training.deterministic and prepared.chief:
        warnings.warn(
            f"the run started on {before} and continues on {processor()}: its weights will not be "
            "bit for bit those of an uninterrupted run, which requires a processor of the same "
            "kind with as many cores",
            stacklevel=2,
        )
    # Earlier versions had TensorFlow only.
    natively_before = prepared.resumed.get("native", False) if prepared.resumed else natively
    if natively_before != natively and prepared.run.training.deterministic and prepared.chief:
        warnings.warn(
            f"the run started with views {_MADE[natively_before]} and continues with views "
            f"{_MADE[natively]}: they differ in the last digits, and so will its weights from "
            "those of an uninterrupted run",
            stacklevel=2,
        )
    if "history" not in state:
        path = prepared.folder.path / "history.csv"
        rows = read_history(path) if prepared.resumed and path.exists() else []
        state["history"] = [row for row in rows if row["epoch"] <= state["epochs"]]
    if steps == state["epochs"] * per_epoch:
        state.pop("metrics", None)  # no step of the current epoch is done
    return state


def fit(prepared: Prepared, callbacks: Callbacks) -> None:
    """Trains from the model's step to the last."""
    inputs, model = prepared.inputs, prepared.model
    epochs = callbacks.checkpoints.epochs
    _record_start(prepared, callbacks.history)
    if prepared.chief:
        keep_epochs(prepared.folder.path / "tensorboard", epochs)
        callbacks.checkpoints.restore_best()
    in_order = callbacks.in_order(prepared)
    if model.steps_done == (epochs + 1) * inputs.steps_per_epoch:
        _end_epoch(prepared, callbacks, in_order)
    if callbacks.collapse.stop and callbacks.collapse.collapse:
        model.stop_training = True  # as before the run was interrupted
    for start_step, initial_epoch, last_epoch, steps in _stretches(inputs, model.steps_done):
        if model.stop_training:
            return
        batches = functools.partial(_batches, prepared, callbacks.input_wait, start_step)
        model.fit(
            share_out(prepared.strategy, batches),
            initial_epoch=initial_epoch,
            epochs=last_epoch,
            steps_per_epoch=steps,
            callbacks=in_order,
            verbose="auto" if prepared.chief and sys.stdout.isatty() else 0,
            shuffle=False,
        )


def _batches(
    prepared: Prepared, input_wait: InputWait | None, start_step: int, part: tuple[int, int]
) -> tf.data.Dataset:
    """A part of each batch from a step on."""
    service = prepared.devices.data_service
    made = views_of(prepared.run, prepared.inputs, start_step, service, part)
    return made if input_wait is None else input_wait.timed(made)


def _end_epoch(
    prepared: Prepared, callbacks: Callbacks, in_order: list[keras.callbacks.Callback]
) -> None:
    """Completes an epoch if the run was interrupted after its last step."""
    epoch = callbacks.checkpoints.epochs
    calls = keras.callbacks.CallbackList(
        in_order, model=prepared.model, epochs=prepared.inputs.epochs
    )
    calls.on_train_begin()
    calls.on_epoch_begin(epoch)
    calls.on_epoch_end(epoch, dict(prepared.resumed["logs"]))
    calls.on_train_end()


def _stretches(inputs: Inputs, step: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields for each call of `fit` the first step, first epoch, last epoch and steps per epoch.

    If a run was interrupted within an epoch, the first call completes that epoch.
    """
    per_epoch = inputs.steps_per_epoch
    epoch, within_epoch = divmod(step, per_epoch)
    if within_epoch:
        yield step, epoch, epoch + 1, per_epoch - within_epoch
        epoch += 1
    if epoch < inputs.epochs:
        yield epoch * per_epoch, epoch, inputs.epochs, per_epoch


def _record_start(prepared: Prepared, history: HistoryFile) -> None:
    """Records the accuracy before training, which all workers measure if it is no baseline."""
    monitor, accuracy = prepared.inputs.monitor, None
    if monitor is not None and not prepared.resumed:
        if prepared.start == "random":
            accuracy = prepared.baselines.get(baseline_key("knn_top1", "random_weights"))
        else:
            monitor.set_model(prepared.model)
            accuracy = monitor.evaluate(workers=monitor.workers).top1
    if not prepared.chief:
        return
    if accuracy is not None:
        history.add({"epoch": 0, "knn_top1": accuracy})
    elif history.rows:
        history.write()  # the file may have been ahead of the checkpoint


def _draw_views(prepared: Prepared) -> None:
    """Draws the first batch of the run, unless that has been done."""
    run, inputs, path = prepared.run, prepared.inputs, prepared.folder.path / "views.png"
    if path.exists():
        return
    batch, _ = unpacked(next(iter(views_of(run, inputs))))
    if run.data.augment_on == "device":
        small = run.model.small_views_of(inputs.image_size)
        batch = augment.make_views(inputs.augmentation, batch, inputs.image_size, small_views=small)
    plots.views(batch, path, inputs.preprocessing)
