"""Checkpoints: when one is saved, which are kept, and how a run resumes from one.

`Checkpoints` is the whole policy. It reads its options from `Output`, so that a new one is a field
there and its use here.
"""

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
from keras_simsiam.files import write_json, written_atomically
from keras_simsiam.models.base import JointEmbedding
from keras_simsiam.training.output import Output


class Checkpoints(keras.callbacks.Callback):
    """Saves the whole model, optimizers included, after each epoch and every few minutes.

    A checkpoint is ``step-00001234.keras``, which `keras.models.load_model` reads, and
    ``step-00001234.json`` with its checksum and whatever else is needed to resume. ``best.keras``
    is the checkpoint with the highest kNN accuracy.

    Args:
        folder: Folder of the checkpoints.
        output: The options ``keep_checkpoints`` and ``checkpoint_every``.
        remember: Returns what else to save, as values for JSON.
        averages: Averages of the epoch in which the training resumes, from its checkpoint.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        output: Output | None = None,
        remember: Callable[[], dict] = dict,
        averages: dict[str, list[float]] | list[float] | None = None,
    ):
        super().__init__()
        output = output or Output()
        self.folder, self.remember = folder, remember
        self.keep, self.seconds = output.keep_checkpoints, 60 * output.checkpoint_every
        self._averages = averages
        self._saved_at = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        """Restores the averages of an interrupted epoch, which Keras has just reset."""
        if self._averages is not None:
            self._restore_averages(_by_name(self._averages))
            self._averages = None

    def on_train_batch_end(self, batch, logs=None):
        """Saves a checkpoint if the last one is old enough."""
        if self.seconds and time.monotonic() - self._saved_at >= self.seconds:
            self.save_within_epoch()

    def on_epoch_end(self, epoch, logs=None):
        """Saves a checkpoint, also as ``best.keras`` if its accuracy is the highest so far."""
        path = self._save({})
        accuracy = (logs or {}).get("knn_top1")
        best = self.folder / "best.json"
        if accuracy is not None and (
            not best.exists() or json.loads(best.read_text())["knn_top1"] < accuracy
        ):
            self._keep_best(path, accuracy)

    def save_within_epoch(self) -> None:
        """Saves a checkpoint now, with the averages of the epoch so far."""
        averages = {
            metric.name: [float(v.numpy()) for v in metric.variables]
            for metric in self.model.metrics
        }
        self._save({"metrics": averages})

    def _save(self, remembered: dict) -> pathlib.Path:
        path = self.folder / f"step-{self.model.steps_done:08d}.keras"
        with written_atomically(path) as partial:
            self.model.save(partial)
            info = {
                "sha256": _checksum(partial),
                "keras": keras.__version__,
                **self.remember(),
                **remembered,
            }
            write_json(path.with_suffix(".json"), info)  # there before the checkpoint is
        for old in sorted(self.folder.glob("step-*.keras"))[: -self.keep]:
            old.unlink()
            old.with_suffix(".json").unlink(missing_ok=True)
        for abandoned in self.folder.glob(".partial.*"):  # by a process that was killed
            abandoned.unlink()
        self._saved_at = time.monotonic()
        return path

    def _keep_best(self, path: pathlib.Path, accuracy: float) -> None:
        with written_atomically(self.folder / "best.keras") as partial:
            try:
                os.link(path, partial)  # takes no space
            except OSError:  # not supported by the file system
                shutil.copyfile(path, partial)
        info = json.loads(path.with_suffix(".json").read_text())
        write_json(self.folder / "best.json", {**info, "knn_top1": accuracy, "from": path.name})

    def _restore_averages(self, averages: dict[str, list[float]]) -> None:
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
                variable.assign(value)


def latest(folder: pathlib.Path) -> tuple[pathlib.Path, dict]:
    """The intact checkpoint of the most steps, and what was saved with it.

    Damaged checkpoints are named in warnings and skipped.

    Raises:
        InputError: If there is no intact checkpoint.
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
            f"checkpoint '{path}' is damaged: its checksum is not the one in {with_checksum.name}",
            stacklevel=2,
        )
    if not paths:
        raise InputError(f"there is no checkpoint in '{folder}'")
    raise InputError(f"none of the {len(paths)} checkpoints in '{folder}' is intact")


def restore(
    folder: pathlib.Path, built: JointEmbedding, dataset: str, fingerprints: dict[str, str]
) -> tuple[pathlib.Path, JointEmbedding, dict]:
    """Loads the latest checkpoint, if it belongs to this run.

    Args:
        folder: Folder of the checkpoints.
        built: The run's model, whose networks the checkpoint must have.
        dataset: Description of the run's images.
        fingerprints: What they are; they must be those of the checkpoint, wherever they lie.

    Returns:
        The checkpoint's path, its model, and what was saved with it.

    Raises:
        InputError: If there is no intact checkpoint, or it belongs to another run.
    """
    path, info = latest(folder)
    check_images(info, dataset, fingerprints, f"cannot resume from '{path}'")
    written_by = info.get("keras", keras.__version__)
    if written_by.split(".")[0] != keras.__version__.split(".")[0]:
        raise InputError(
            f"cannot resume from '{path}': Keras was {written_by}, now {keras.__version__}, which "
            "cannot read the checkpoint"
        )
    model = load(path, built)
    check_fits(model, built, path)
    return path, model, info


def check_images(info: dict, dataset: str, fingerprints: dict[str, str], refusal: str) -> None:
    """Raises InputError if a run's images are not those with which it began.

    Args:
        info: What was saved: ``fingerprints``, or ``dataset`` in older runs.
        dataset: Description of the images.
        fingerprints: What they are.
        refusal: The beginning of the message.
    """
    before = info.get("fingerprints")
    if before is None:
        was = info.get("dataset", dataset)
        if was != dataset:
            raise InputError(f"{refusal}: dataset was {was}, now {dataset}")
        return
    for name in {**before, **fingerprints}:
        was, now = (images.get(name, "none") for images in (before, fingerprints))
        if was != now:
            raise InputError(
                f"{refusal}: the images differ from those with which it began: {name} were {was}, "
                f"now {now}"
            )


def load(path: pathlib.Path, built: JointEmbedding) -> JointEmbedding:
    """Loads the model of a checkpoint.

    Args:
        path: The checkpoint.
        built: The run's model, for the preprocessing, which older checkpoints lack.
    """
    model = keras.models.load_model(path)
    model.preprocessing = built.preprocessing
    return model


def check_fits(loaded: JointEmbedding, built: JointEmbedding, path: pathlib.Path) -> None:
    """Raises InputError if the networks of a checkpoint are not those of the run."""
    before, now = (
        [
            f"{_compat.path_of(w)} {list(w.shape)}"
            for part in model.parts.values()
            for w in part.weights
        ]
        for model in (loaded, built)
    )
    if before == now:
        return
    differing = ((a, b) for a, b in zip(before, now, strict=False) if a != b)
    was, is_ = next(differing, (f"{len(before)} weights", f"{len(now)} weights"))
    raise InputError(f"cannot resume from '{path}': the network had {was}, now {is_}")


def _by_name(averages: dict[str, list[float]] | list[float]) -> dict[str, list[float]]:
    """Averages by the metric's name; older checkpoints have them in one list."""
    if isinstance(averages, dict):
        return averages
    return {"loss": averages[:2], "z_std": averages[2:]}


def _checksum(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
