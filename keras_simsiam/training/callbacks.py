"""Callbacks of a run: throughput, checks for divergence, the history file, and progress."""

from __future__ import annotations

import csv
import math
import pathlib
import time
from collections.abc import Callable, Iterable, Mapping

import keras
import numpy as np

from keras_simsiam import _compat, metrics
from keras_simsiam.errors import InputError, TrainingDiverged
from keras_simsiam.files import write_csv
from keras_simsiam.models.base import JointEmbedding


class Throughput(keras.callbacks.Callback):
    """Logs images per second, excluding evaluations, and the minutes left.

    Args:
        batch_size: Images per step, over all devices.
        steps: Steps of the whole training.

    Attributes:
        seconds: Time spent on training steps, except the first, which compiles.
        steps_timed: Number of steps in that time.
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

    def on_train_batch_begin(self, batch, logs=None):
        """Excludes what is done between the first step and the second; see `AfterFirstStep`."""
        if not self.steps_timed:
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


class AfterFirstStep(keras.callbacks.Callback):
    """Does something once, after the first step and its progress, which it would delay otherwise.

    It must come before `Throughput`, which does not count its time.

    Args:
        action: What to do.
    """

    def __init__(self, action: Callable[[], None]):
        super().__init__()
        self._action = action
        self._stepped = self._done = False

    def on_train_batch_begin(self, batch, logs=None):
        """Acts before the second step."""
        if self._stepped:
            self._act()
        self._stepped = True

    def on_train_end(self, logs=None):
        """Acts if there was one step only."""
        self._act()

    def _act(self) -> None:
        if not self._done:
            self._done = True
            self._action()


class StopOnBadLoss(keras.callbacks.Callback):
    """Stops a training that diverged, before a checkpoint of it is saved."""

    def on_train_batch_end(self, batch, logs=None):
        """Checks the loss.

        Raises:
            TrainingDiverged: If the loss is not finite.
        """
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise diverged(f"the loss became {loss}", self.model.steps_done)

    def on_epoch_end(self, epoch, logs=None):
        """Checks the weights, because the last step may have made the next loss infinite.

        Raises:
            TrainingDiverged: If a weight is not finite.
        """
        check_finite(self.model)


def check_finite(model: JointEmbedding) -> None:
    """Raises TrainingDiverged if a weight is not finite."""
    weight = not_finite(model)
    if weight is not None:
        raise diverged(f"weight {weight} is no longer finite", model.steps_done)


def not_finite(model: JointEmbedding) -> str | None:
    """The path of the first weight that is not finite; None if all are finite."""
    for weight in model.weights:
        if not np.isfinite(weight.numpy()).all():
            return _compat.path_of(weight)
    return None


def diverged(what: str, step: int) -> TrainingDiverged:
    """The error for a training that diverged: what happened, at which step, and what to do."""
    return TrainingDiverged(
        f"{what} at step {step:,}; try a lower --learning-rate or more --warmup-epochs. "
        "The last checkpoint was saved before that step"
    )


def read_history(path: pathlib.Path) -> list[dict[str, float]]:
    """The rows of history.csv, without empty cells.

    Raises:
        InputError: If the file is damaged.
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

    The columns are those of `keras_simsiam.metrics.history_columns`; metrics that are not in the
    table come last.

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
        columns = metrics.history_columns(self.rows)
        cells = ([_cell(row, column) for column in columns] for row in self.rows)
        write_csv(self.path, columns, cells)


def _cell(row: Mapping[str, float], column: str) -> str:
    if column not in row:
        return ""
    return f"{row[column]:.0f}" if column == "epoch" else f"{row[column]:.6g}"


class EpochLines(keras.callbacks.Callback):
    """Prints one line per epoch, the progress of a training whose output goes to a file.

    It must come after the callbacks that log metrics.

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
