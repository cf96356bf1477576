"""Checkpoints: when one is saved, which are kept, and how a run resumes from one.

`Checkpoints` is the policy, with options from `Output`; `checkpoint_file` is the format.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping

import keras

from keras_simsiam import _compat, metrics
from keras_simsiam.errors import InputError, first_line
from keras_simsiam.files import written_atomically
from keras_simsiam.models.base import JointEmbedding
from keras_simsiam.training import checkpoint_file
from keras_simsiam.training.callbacks import check_finite, not_finite
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
        self._save({"metrics": averages, "logs": logs})

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


def intact(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, dict]]:
    """Yields the intact checkpoints, latest first, and the state in each.

    Damaged checkpoints are skipped with a warning that names them.
    """
    for path in sorted(folder.glob("step-*.keras"), reverse=True):
        try:
            state = checkpoint_file.read(path)
        except (OSError, checkpoint_file.Damaged) as e:
            warnings.warn(f"checkpoint '{path}' is damaged: {e}", stacklevel=2)
        else:
            yield path, state


def check_begun_with(
    folder: pathlib.Path, dataset: str, fingerprints: dict[str, str], partly: bool = False
) -> None:
    """Raises InputError if the latest checkpoint is of other images.

    Args:
        folder: Folder of the checkpoints.
        dataset: Description of the run's images.
        fingerprints: Digests of the images, which must equal those in the checkpoint.
        partly: Whether only some of the run's images are given.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `restore` warns of those that are damaged
        path, state = next(intact(folder), (None, {}))
    if partly:
        before = state.get("fingerprints")
        named = None if before is None else {k: v for k, v in before.items() if k in fingerprints}
        state = {"dataset": dataset, "fingerprints": named}
    if path is not None:
        check_images(state, dataset, fingerprints, f"cannot resume from '{path}'")


def restore(
    folder: pathlib.Path, built: JointEmbedding
) -> tuple[pathlib.Path, JointEmbedding, dict]:
    """Loads the latest checkpoint.

    Args:
        folder: Folder of the checkpoints.
        built: The run's model, whose networks the checkpoint must have.

    Returns:
        The checkpoint's path, its model, and its state.

    Raises:
        InputError: If there is no intact checkpoint, or it belongs to another run.
    """
    for path, state in intact(folder):
        written_by = state.get("keras", keras.__version__)
        if written_by.split(".")[0] != keras.__version__.split(".")[0]:
            raise InputError(
                f"cannot resume from '{path}': Keras was {written_by}, now {keras.__version__}, "
                "which cannot read the checkpoint"
            )
        model = load(path, built)
        check_fits(model, built, path)
        weight = not_finite(model)
        if weight is None:
            return path, model, {"best": _best_of_earlier_version(folder), **state}
        warnings.warn(
            f"checkpoint '{path}' is not used: its weight {weight} is not finite", stacklevel=2
        )
    raise none_left(folder)


def check_images(info: dict, dataset: str, fingerprints: dict[str, str], refusal: str) -> None:
    """Raises InputError if a run's images are not those with which it began.

    Args:
        info: What was saved: ``fingerprints``, or ``dataset`` by earlier versions.
        dataset: Description of the images.
        fingerprints: Digests of the images.
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


def none_left(folder: pathlib.Path) -> InputError:
    """The error for a folder without a usable checkpoint."""
    count = len([*folder.glob("step-*.keras")])
    if not count:
        return InputError(f"there is no checkpoint in '{folder}'")
    return InputError(f"none of the {count} checkpoints in '{folder}' is intact")


def load(path: pathlib.Path, built: JointEmbedding) -> JointEmbedding:
    """Loads the model of a checkpoint.

    Args:
        path: The checkpoint, which must be intact.
        built: The run's model, for its preprocessing, which checkpoints of earlier versions lack.

    Raises:
        InputError: If this version cannot read the checkpoint.
    """
    try:
        model = keras.models.load_model(path)
    except Exception as e:  # any part of Keras may raise its own error
        raise InputError(f"cannot read checkpoint '{path}': {first_line(e)}") from e
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


def _best_of_earlier_version(folder: pathlib.Path) -> dict | None:
    """The accuracy and step of ``best.keras``, which earlier versions wrote to ``best.json``."""
    try:
        best = json.loads((folder / "best.json").read_text())
        return {"knn_top1": best["knn_top1"], "step": int(best["from"][5:-6])}
    except (OSError, ValueError, KeyError):
        return None


def _by_name(averages: dict[str, list[float]] | list[float]) -> dict[str, list[float]]:
    """Averages by name of the metric; in checkpoints of earlier versions they are one list."""
    if isinstance(averages, dict):
        return averages
    return {"loss": averages[:2], "z_std": averages[2:]}
