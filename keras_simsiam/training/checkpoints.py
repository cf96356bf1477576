"""Checkpoints that a run goes on from, exactly, and that say so where they are damaged."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import time
import warnings
from collections.abc import Callable

import keras

from keras_simsiam import _compat
from keras_simsiam.errors import InputError
from keras_simsiam.training.output import write_json


class Checkpoints(keras.callbacks.Callback):
    """Writes the whole model, optimisers included, after each epoch and every few minutes.

    A checkpoint is ``step-00001234.keras``, which `keras.models.load_model` reads, and beside it
    ``step-00001234.json`` with its checksum and what else a run needs to go on. ``best.keras`` is
    that of the highest kNN accuracy.

    Args:
        folder: Where they go.
        keep: How many are kept, the best not counted.
        minutes: Minutes after which one is written within an epoch; 0 for never.
        describe: Gives what else is to be remembered, as JSON has it.
        metrics: Averages of the epoch in which the training goes on, as a checkpoint within it
            remembers them.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        keep: int = 3,
        minutes: float = 0.0,
        describe: Callable[[], dict] = dict,
        metrics: list[float] | None = None,
    ):
        super().__init__()
        self.folder, self.keep, self.seconds = folder, keep, 60 * minutes
        self.describe = describe
        self._metrics = metrics
        self._saved_at = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        """Goes on with the averages of an epoch that was cut off, which Keras has reset."""
        if self._metrics is not None:
            for variable, value in zip(self._metric_variables(), self._metrics, strict=True):
                variable.assign(value)
            self._metrics = None

    def on_train_batch_end(self, batch, logs=None):
        """Writes one where it is time to."""
        if self.seconds and time.monotonic() - self._saved_at >= self.seconds:
            self.save_within_epoch()

    def on_epoch_end(self, epoch, logs=None):
        """Writes one, and keeps it as the best where it is."""
        path = self._save({})
        accuracy = (logs or {}).get("knn_top1")
        best = self.folder / "best.json"
        if accuracy is not None and (
            not best.exists() or json.loads(best.read_text())["knn_top1"] < accuracy
        ):
            self._keep_best(path, accuracy)

    def save_within_epoch(self) -> None:
        """Writes one now, with the averages of the epoch so far."""
        self._save({"metrics": [float(v.numpy()) for v in self._metric_variables()]})

    def _save(self, remembered: dict) -> pathlib.Path:
        """Writes aside first, then renames: the checksum before what it is of."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{self.model.steps_done:08d}.keras"
        aside = self.folder / "partial.keras"
        try:
            self.model.save(aside)
            info = {"sha256": _checksum(aside), **self.describe(), **remembered}
            write_json(path.with_suffix(".json"), info)
            os.replace(aside, path)
        except Exception:
            aside.unlink(missing_ok=True)
            raise
        for old in sorted(self.folder.glob("step-*.keras"))[: -self.keep]:
            old.unlink()
            old.with_suffix(".json").unlink(missing_ok=True)
        self._saved_at = time.monotonic()
        return path

    def _keep_best(self, path: pathlib.Path, accuracy: float) -> None:
        aside = self.folder / "best.partial"
        aside.unlink(missing_ok=True)
        try:
            os.link(path, aside)  # the same bytes under two names
        except OSError:  # a disk that cannot do that
            shutil.copyfile(path, aside)
        os.replace(aside, self.folder / "best.keras")
        info = json.loads(path.with_suffix(".json").read_text())
        write_json(self.folder / "best.json", {**info, "knn_top1": accuracy, "from": path.name})

    def _metric_variables(self) -> list[keras.Variable]:
        return [v for metric in self.model.metrics for v in metric.variables]


def latest(folder: pathlib.Path) -> tuple[pathlib.Path, dict]:
    """The whole checkpoint of the most steps, and what was remembered in it.

    One that is damaged is named in a warning, and the one before it is taken.

    Raises:
        InputError: If there is none that is whole.
    """
    paths = sorted(folder.glob("step-*.keras"), reverse=True)
    for path in paths:
        with_checksum = path.with_suffix(".json")
        try:
            info = json.loads(with_checksum.read_text())
            if info["sha256"] == _checksum(path):
                return path, info
        except (OSError, ValueError, KeyError):
            pass
        warnings.warn(
            f"checkpoint '{path}' is damaged: its checksum is not that of its {with_checksum.name}",
            stacklevel=2,
        )
    raise InputError(
        f"none of the {len(paths)} checkpoints in '{folder}' is whole"
        if paths
        else f"there is no checkpoint in '{folder}'"
    )


def check_fits(loaded: keras.Model, built: keras.Model, path: pathlib.Path) -> None:
    """Raises InputError where a checkpoint holds another network than the run's."""
    there, here = (
        [(_compat.path_of(w), tuple(w.shape)) for part in _parts(model) for w in part.weights]
        for model in (loaded, built)
    )
    if there == here:
        return
    differing = ((a, b) for a, b in zip(there, here, strict=False) if a != b)
    what = next(differing, None)
    said = (
        f"{what[0][0]} {list(what[0][1])} there, {what[1][0]} {list(what[1][1])} here"
        if what
        else f"{len(there)} weights there, {len(here)} here"
    )
    raise InputError(f"checkpoint '{path}' is of another network: {said}")


def _parts(model: keras.Model) -> tuple[keras.Model, ...]:
    return model.backbone, model.projector, model.predictor


def _checksum(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
