"""When checkpoints are saved, and which are kept.

`checkpoint_file` is the format of one, and `resuming` loads them.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import time
import warnings
from collections.abc import Callable, Mapping

import keras

from keras_simsiam import metrics
from keras_simsiam.files import written_atomically
from keras_simsiam.training import checkpoint_file
from keras_simsiam.training.callbacks import check_finite
from keras_simsiam.training.output import Output


class Checkpoints(keras.callbacks.Callback):
    """Saves the whole state of the run after each epoch and every few minutes.

    A checkpoint is one file, ``step-00001234.keras``, see `checkpoint_file`. ``best.keras`` is the
    checkpoint with the highest kNN accuracy. The state says which one that is, so that
    `restore_best` can write it if the process was killed before.

    Args:
        folder: Folder of the checkpoints.
        output: The options ``keep_checkpoints`` and ``checkpoint_every``.
        remember: A function that returns what else to save, as values for JSON.
        resumed: The state in the checkpoint from which the run resumes; None for a new run.

    Attributes:
        epochs: Number of complete epochs.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        output: Output | None = None,
        remember: Callable[[], dict] = dict,
        resumed: dict | None = None,
    ):
        super().__init__()
        output, resumed = output or Output(), resumed or {}
        self.folder, self.remember = folder, remember
        self.keep, self.seconds = output.keep_checkpoints, 60 * output.checkpoint_every
        self.epochs: int = resumed.get("epochs", 0)
        self._best: dict | None = resumed.get("best")
        self._averages: dict | list | None = resumed.get("metrics")
        self._averaged_on: int | None = resumed.get("replicas")  # devices
        self._logs: Mapping[str, float] = resumed.get("logs", {})
        self._saved_at = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        """Restores the averages of an interrupted epoch, which Keras has just reset."""
        if self._averages is not None:
            self._restore_averages(_by_name(self._averages))
            self._averages = None

    def on_train_batch_end(self, batch, logs=None):
        """Saves a checkpoint if the last one is old enough."""
        self._logs = logs or {}
        if self.seconds and time.monotonic() - self._saved_at >= self.seconds:
            self.save_within_epoch()

    def on_epoch_end(self, epoch, logs=None):
        """Saves a checkpoint, also as ``best.keras`` if its accuracy is the highest so far."""
        self.epochs = epoch + 1
        accuracy = (logs or {}).get("knn_top1")
        if accuracy is not None and (self._best is None or self._best["knn_top1"] < accuracy):
            self._best = {"knn_top1": float(accuracy), "step": self.model.steps_done}
        self._save({})

    def save_within_epoch(self) -> None:
        """Saves a checkpoint now, with the averages of the epoch so far.

        If all steps of the epoch are done, the run resumes with the end of the epoch.
        """
        averages = {
            metric.name: [float(v.numpy()) for v in metric.variables]
            for metric in self.model.metrics
        }
        logs = {k: float(v) for k, v in self._logs.items() if metrics.in_history(k)}
        self._save({"metrics": averages, "replicas": self._replicas, "logs": logs})

    def restore_best(self) -> None:
        """Writes the best checkpoint so far to ``best.keras``, unless it is there already."""
        if self._best is None:
            return
        path, best = self._path(self._best["step"]), self.folder / "best.keras"
        for candidate in (best, path):
            try:
                # Earlier versions did not record the step of the best checkpoint in its state.
                state = checkpoint_file.read(candidate)
                fits = state.get("step", self._best["step"]) == self._best["step"]
            except (OSError, checkpoint_file.Damaged):
                fits = False
            if fits:
                if candidate is path:
                    self._keep_best(path)
                return
        warnings.warn(
            f"'{best}' is not intact; the next checkpoint with a higher kNN accuracy than "
            f"{self._best['knn_top1']:.1%} replaces it",
            stacklevel=2,
        )

    def _save(self, more: dict) -> None:
        # With a weight that is not finite, the next loss would not be finite either.
        check_finite(self.model)
        step = self.model.steps_done
        state = {
            "keras": keras.__version__,
            "step": step,
            "epochs": self.epochs,
            "best": self._best,
            **self.remember(),
            **more,
        }
        path = self._path(step)
        checkpoint_file.write(path, self.model, state)
        if self._best is not None and self._best["step"] == step:
            self._keep_best(path)
        for old in sorted(self.folder.glob("step-*.keras"))[: -self.keep]:
            old.unlink()
        for older in self.folder.glob("step-*.json"):  # beside checkpoints of earlier versions
            if not older.with_suffix(".keras").exists():
                older.unlink()
        for abandoned in self.folder.glob(".partial.*"):  # by a process that was killed
            abandoned.unlink()
        self._saved_at = time.monotonic()

    def _path(self, step: int) -> pathlib.Path:
        return self.folder / f"step-{step:08d}.keras"

    def _keep_best(self, path: pathlib.Path) -> None:
        with written_atomically(self.folder / "best.keras") as partial:
            try:
                os.link(path, partial)  # takes no space
            except OSError:  # not supported by the file system
                shutil.copyfile(path, partial)
        (self.folder / "best.json").unlink(missing_ok=True)  # of an earlier version

    @property
    def _replicas(self) -> int:
        return self.model.distribute_strategy.num_replicas_in_sync

    def _restore_averages(self, averages: dict[str, list[float]]) -> None:
        # They are sums over the images of one device; of several workers, over the chief's.
        scale = (self._averaged_on or self._replicas) / self._replicas
        for metric in self.model.metrics:
            values = averages.get(metric.name, [])
            if len(values) != len(metric.variables):
                warnings.warn(
                    f"the checkpoint has no average of '{metric.name}'; its average of this epoch "
                    f"starts at step {self.model.steps_done + 1:,}",
                    stacklevel=2,
                )
                continue
            for variable, value in zip(metric.variables, values, strict=True):
                variable.assign(scale * value)


def _by_name(averages: dict[str, list[float]] | list[float]) -> dict[str, list[float]]:
    """Averages by name of the metric; in checkpoints of earlier versions they are one list."""
    if isinstance(averages, dict):
        return averages
    return {"loss": averages[:2], "z_std": averages[2:]}
