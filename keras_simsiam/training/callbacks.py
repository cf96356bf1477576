"""Keras callbacks: kNN on the way, throughput, a check of the loss, the history as a file."""

from __future__ import annotations

import csv
import math
import os
import pathlib
import time

import keras
import numpy as np

from keras_simsiam import _compat
from keras_simsiam.config import IMAGENET_MEAN, IMAGENET_STD
from keras_simsiam.data import ImagesLike, as_images
from keras_simsiam.errors import TrainingDiverged
from keras_simsiam.evaluation import Encoder, KNNAccuracy, extract, knn_accuracy
from keras_simsiam.preprocessing import Preprocessing


class KNNMonitor(keras.callbacks.Callback):
    """Logs the kNN accuracy of the model's features as ``knn_top1`` every few epochs.

    Works in anybody's `fit`, with any model from normalised images to vectors::

        model.fit(pairs, callbacks=[KNNMonitor(train.images, train.labels,
                                               test.images, test.labels, every=5)], ...)

    It must come before callbacks that use the value, such as TensorBoard.

    Args:
        bank: Training images, as `keras_simsiam.data.load` gives them.
        bank_labels: int ``[N]``.
        queries: Test images.
        query_labels: int ``[Q]``.
        every: Epochs between evaluations; the last epoch is always evaluated. 0 for that only.
        k: Neighbours that vote; capped to the bank's size.
        temperature: Of the vote.
        image_size: Side in pixels that the model is trained at; that of the images where None.
        mean: Of each channel, in [0, 1], as in training.
        std: Of each channel.
        epochs: Epochs of the whole training, where `fit` is called for parts of it.

    Attributes:
        latest: The last `KNNAccuracy`, or None.
    """

    def __init__(
        self,
        bank: ImagesLike,
        bank_labels: np.ndarray,
        queries: ImagesLike,
        query_labels: np.ndarray,
        every: int = 1,
        k: int = 200,
        temperature: float = 0.1,
        image_size: int | None = None,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        epochs: int | None = None,
    ):
        super().__init__()
        self.epochs = epochs
        self.bank, self.bank_labels = bank, bank_labels
        self.queries, self.query_labels = queries, query_labels
        self.every = every
        self.k = min(k, len(bank))
        self.temperature = temperature
        self.image_size = image_size or as_images(bank).side()
        self.normalization = (mean, std)
        self.latest: KNNAccuracy | None = None

    def evaluate(self, encoder: Encoder | None = None) -> KNNAccuracy:
        """The accuracy of the model as it is now, or of another encoder."""
        encoder = encoder or Encoder.of(
            self.model, Preprocessing(self.image_size, *self.normalization)
        )
        bank, queries = (extract(encoder, images) for images in (self.bank, self.queries))
        return knn_accuracy(
            bank, self.bank_labels, queries, self.query_labels, self.k, self.temperature
        )

    def on_epoch_begin(self, epoch, logs=None):
        """Forgets the accuracy of weights that are about to change."""
        self.latest = None

    def on_epoch_end(self, epoch, logs=None):
        """Evaluates where it is time to."""
        due = self.every and (epoch + 1) % self.every == 0
        if due or epoch + 1 == (self.epochs or self.params["epochs"]):
            self.latest = self.evaluate()
            if logs is not None:
                logs["knn_top1"] = self.latest.top1


class Throughput(keras.callbacks.Callback):
    """Logs images a second, evaluation not counted, and shows the minutes left.

    Args:
        batch_size: Images a step, over all devices.
        steps: Steps of the whole training.

    Attributes:
        seconds: Time spent training, without the first step, which compiles.
        steps_timed: Steps in that time.
    """

    def __init__(self, batch_size: int, steps: int):
        super().__init__()
        self.batch_size, self.steps = batch_size, steps
        self.seconds, self.steps_timed = 0.0, 0
        self._compiled = False
        self._since = None

    @property
    def images_per_second(self) -> float | None:
        """Over all steps so far; None before there are two."""
        return self.batch_size * self.steps_timed / self.seconds if self.seconds else None

    def on_epoch_begin(self, epoch, logs=None):
        """Leaves out what happened between epochs."""
        self._since = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Counts a step."""
        now = time.perf_counter()
        if self._compiled:
            self.seconds += now - self._since
            self.steps_timed += 1
        self._since, self._compiled = now, True
        if logs is not None and self.seconds:
            left = self.steps - self.model.steps_done
            logs["images_per_second"] = self.images_per_second
            logs["minutes_left"] = left * self.seconds / self.steps_timed / 60

    def on_epoch_end(self, epoch, logs=None):
        """Logs the rate."""
        if logs is not None and self.seconds:
            logs["images_per_second"] = self.images_per_second


class StopOnBadLoss(keras.callbacks.Callback):
    """Ends a training whose loss is not finite, before a checkpoint of it is written."""

    def on_train_batch_end(self, batch, logs=None):
        """Raises:
        TrainingDiverged: If the loss is not finite.
        """
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            self._stop(f"the loss became {loss}")

    def on_epoch_end(self, epoch, logs=None):
        """Raises:
        TrainingDiverged: If a weight is not finite: the next loss would not be either.
        """
        for weight in self.model.weights:
            if not np.isfinite(weight.numpy()).all():
                self._stop(f"weight {_compat.path_of(weight)} is no longer finite")

    def _stop(self, what: str) -> None:
        raise TrainingDiverged(
            f"{what} at step {self.model.steps_done:,}; try a lower --learning-rate, or "
            "--warmup-epochs. The last checkpoint is from before that"
        )


def read_history(path: pathlib.Path) -> list[dict[str, float]]:
    """The rows that a `HistoryFile` wrote, what a row lacks left out."""
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


class HistoryFile(keras.callbacks.Callback):
    """Keeps what each epoch logs in a CSV, and in `rows`.

    Args:
        path: The file. Rows of epochs before the first that is trained are kept.
        first_epoch: Number of that epoch, from 0.
    """

    COLUMNS = (
        *("epoch", "loss", "z_std", "learning_rate", "knn_top1"),
        *("backbone_std", "projector_std", "backbone_rank", "projector_rank"),
    )

    def __init__(self, path: pathlib.Path, first_epoch: int = 0):
        super().__init__()
        self.path = path
        self.rows: list[dict] = []
        if first_epoch and path.exists():
            self.rows = [row for row in read_history(path) if row["epoch"] <= first_epoch]

    def on_epoch_end(self, epoch, logs=None):
        """Adds a row and writes the file anew."""
        row = {k: float(v) for k, v in (logs or {}).items() if k in self.COLUMNS}
        self.add({"epoch": epoch + 1, **row})

    def add(self, row: dict) -> None:
        """Adds a row; the file is renamed into its place whole."""
        self.rows.append(row)
        aside = self.path.with_suffix(".partial")
        with aside.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.COLUMNS)
            writer.writeheader()
            writer.writerows(
                {k: int(v) if k == "epoch" else f"{v:.6g}" for k, v in row.items()}
                for row in self.rows
            )
        os.replace(aside, self.path)
