"""Training: the callbacks of a run, and Keras's `fit`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import keras

from keras_simsiam import augment, plots
from keras_simsiam.metrics import baseline_key
from keras_simsiam.training.callbacks import EpochLines, HistoryFile, StopOnBadLoss, Throughput
from keras_simsiam.training.checkpoints import Checkpoints
from keras_simsiam.training.collapse import CollapseMonitor
from keras_simsiam.training.devices import share_out
from keras_simsiam.training.interrupts import Preemption
from keras_simsiam.training.monitors import KNNMonitor
from keras_simsiam.training.prepare import Inputs, Prepared, views_of


@dataclass(frozen=True)
class Callbacks:
    """The callbacks of a run whose findings are needed afterwards."""

    throughput: Throughput
    collapse: CollapseMonitor
    knn: KNNMonitor | None
    history: HistoryFile
    checkpoints: Checkpoints
    preemption: Preemption

    @classmethod
    def of(cls, prepared: Prepared) -> Callbacks:
        """The callbacks of a run, as its checkpoint left them if it is resumed."""
        run, inputs, folder = prepared.run, prepared.inputs, prepared.folder
        epoch, within_epoch = divmod(prepared.model.steps_done, inputs.steps_per_epoch)
        collapse = CollapseMonitor(
            inputs.images,
            stop=run.training.stop_on_collapse,
            log_dir=str(folder.path / "tensorboard") if prepared.chief else None,
        )
        collapse.collapse = prepared.resumed.get("collapse")
        checkpoints = Checkpoints(
            folder.checkpoints,
            prepared.output,
            remember=lambda: {
                "dataset": inputs.description,
                "fingerprints": inputs.fingerprints,
                "collapse": collapse.collapse,
            },
            averages=prepared.resumed.get("metrics") if within_epoch else None,
        )
        checkpoints.set_model(prepared.model)
        return cls(
            Throughput(inputs.batch_size, inputs.steps),
            collapse,
            inputs.monitor,
            HistoryFile(folder.path / "history.csv", epoch),
            checkpoints,
            Preemption(checkpoints if prepared.chief else None),
        )

    def in_order(self, prepared: Prepared) -> list[keras.callbacks.Callback]:
        """All callbacks of `fit`: those that log metrics precede those that write them."""
        logging = [self.throughput, StopOnBadLoss(), self.collapse, self.knn]
        writing = []
        if prepared.chief:
            writing = [
                self.history,
                keras.callbacks.TensorBoard(self.collapse.log_dir, write_graph=False),
                None if sys.stdout.isatty() else EpochLines(prepared.inputs.epochs),
                # Follows whatever else is written about an epoch, as it marks the epoch as done.
                self.checkpoints,
            ]
        return [c for c in (*logging, *writing, self.preemption) if c is not None]


def fit(prepared: Prepared, callbacks: Callbacks) -> None:
    """Trains from the model's step to the last."""
    run, inputs, model = prepared.run, prepared.inputs, prepared.model
    if prepared.chief:
        _show_start(prepared, callbacks.history)
    in_order = callbacks.in_order(prepared)
    for start_step, initial_epoch, epochs, steps in _stretches(inputs, model.steps_done):
        if model.stop_training:
            return
        batches = functools.partial(
            views_of, run, inputs, start_step, prepared.devices.data_service
        )
        model.fit(
            share_out(prepared.strategy, batches),
            initial_epoch=initial_epoch,
            epochs=epochs,
            steps_per_epoch=steps,
            callbacks=in_order,
            verbose="auto" if prepared.chief and sys.stdout.isatty() else 0,
            shuffle=False,
        )


def _stretches(inputs: Inputs, step: int) -> Iterator[tuple[int, int, int, int]]:
    """The calls of `fit`: first step, first epoch, last epoch, and steps per epoch of each.

    A run that was interrupted within an epoch completes that epoch first.
    """
    per_epoch = inputs.steps_per_epoch
    epoch, within_epoch = divmod(step, per_epoch)
    if within_epoch:
        yield step, epoch, epoch + 1, per_epoch - within_epoch
        epoch += 1
    if epoch < inputs.epochs:
        yield epoch * per_epoch, epoch, inputs.epochs, per_epoch


def _show_start(prepared: Prepared, history: HistoryFile) -> None:
    """Records the accuracy before training, and draws the first batch."""
    run, inputs = prepared.run, prepared.inputs
    if inputs.monitor is not None and not history.rows:
        accuracy = prepared.baselines[baseline_key("knn_top1", "random_weights")]
        if run.model.pytorch_weights is not None or accuracy is None:
            inputs.monitor.set_model(prepared.model)
            accuracy = inputs.monitor.evaluate().top1
        history.add({"epoch": 0, "knn_top1": accuracy})
    if prepared.model.steps_done == 0:
        batch = next(iter(views_of(run, inputs)))
        if run.data.augment_on == "device":
            batch = augment.make_views(run.augmentation, batch, inputs.image_size)
        plots.views(batch, prepared.folder.path / "views.png", inputs.preprocessing)
