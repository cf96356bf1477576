"""Callbacks of a run: throughput, checks for divergence, the history file, lines of progress."""

from __future__ import annotations

import csv
import math
import pathlib
import time
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from keras_simsiam import _compat, metrics
from keras_simsiam.errors import InputError, TrainingDiverged
from keras_simsiam.files import written_atomically
from keras_simsiam.models.base import JointEmbedding


class Throughput(keras.callbacks.Callback):
    """Logs images per second, evaluations excluded, and the minutes left.

    Args:
        batch_size: Images per step, over all devices.
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
        self._since = 0.0

    @property
    def images_per_second(self) -> float | None:
        """The mean over all timed steps; None if there are none."""
        return self.batch_size * self.steps_timed / self.seconds if self.seconds else None

    def on_epoch_begin(self, epoch, logs=None):
        """Excludes the time between epochs."""
        self._since = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Counts a step."""
        now = time.perf_counter()
        if self._compiled:
            self.seconds += now - self._since
            self.steps_timed += 1
        self._since, self._compiled = now, True
        self._log(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Logs the rate."""
        self._log(logs)

    def _log(self, logs) -> None:
        if logs is not None and self.seconds:
            left = self.steps - self.model.steps_done
            logs["images_per_second"] = self.images_per_second
            logs["minutes_left"] = left * self.seconds / self.steps_timed / 60


class StopOnBadLoss(keras.callbacks.Callback):
    """Stops a training that diverged, before a checkpoint of it is saved."""

    def on_train_batch_end(self, batch, logs=None):
        """Raises:
        TrainingDiverged: If the loss is not finite.
        """
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise diverged(f"the loss became {loss}", self.model.steps_done)

    def on_epoch_end(self, epoch, logs=None):
        """Raises:
        TrainingDiverged: If a weight is not finite, which the next loss would not be either.
        """
        check_finite(self.model)


def check_finite(model: JointEmbedding) -> None:
    """Raises TrainingDiverged if a weight is not finite."""
    weight = not_finite(model)
    if weight is not None:
        raise diverged(f"weight {weight} is no longer finite", model.steps_done)


def not_finite(model: JointEmbedding) -> str | None:
    """The first weight that is not finite, if any."""
    for weight in model.weights:
        if not np.isfinite(weight.numpy()).all():
            return _compat.path_of(weight)
    return None


def diverged(what: str, step: int) -> TrainingDiverged:
    """The error that says what happened at a step, and what to do."""
    return TrainingDiverged(
        f"{what} at step {step:,}; try a lower --learning-rate or more --warmup-epochs. "
        "The last checkpoint precedes that step"
    )


def read_history(path: pathlib.Path) -> list[dict[str, float]]:
    """The rows of history.csv, without empty cells.

    Raises:
        InputError: If it is damaged.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    except (ValueError, TypeError, csv.Error) as e:
        raise InputError(f"'{path}' must be a table of numbers: {e}") from e
    if not all("epoch" in row for row in rows):
        raise InputError(f"'{path}' must have the epoch in each row")
    return rows


class HistoryFile(keras.callbacks.Callback):
    """Writes what each epoch logs to a CSV file.

    The columns are those of `keras_simsiam.metrics.history_columns`: metrics that the table does
    not know come last.

    Args:
        path: The file.
        rows: The rows of earlier epochs.

    Attributes:
        rows: The rows of the file.
    """

    def __init__(self, path: pathlib.Path, rows: Iterable[Mapping[str, float]] = ()):
        super().__init__()
        self.path = path
        self.rows = [dict(row) for row in rows]

    def on_epoch_end(self, epoch, logs=None):
        """Adds a row."""
        logged = {k: float(v) for k, v in (logs or {}).items() if metrics.in_history(k)}
        self.add({"epoch": epoch + 1, **logged})

    def add(self, row: Mapping[str, float]) -> None:
        """Adds a row, and writes the file."""
        self.rows.append(dict(row))
        self.write()

    def write(self) -> None:
        """Writes the file atomically."""
        with (
            written_atomically(self.path) as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, metrics.history_columns(self.rows))
            writer.writeheader()
            writer.writerows(
                {k: int(v) if k == "epoch" else f"{v:.6g}" for k, v in row.items()}
                for row in self.rows
            )


class EpochLines(keras.callbacks.Callback):
    """Prints one line per epoch: the progress of a training whose output goes to a file.

    It must follow callbacks that log metrics.

    Args:
        epochs: Epochs of the whole training.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        """Prints the metrics of the epoch, formatted as in tables."""
        cells = [f"{name} {cell}" for name, cell in metrics.formatted(logs or {}).items()]
        print(f"epoch {epoch + 1}/{self.epochs}: {', '.join(cells)}", flush=True)
