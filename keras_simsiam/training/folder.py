"""The folder of a run, which never replaces anything except an earlier run."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import pathlib
import re
import warnings
from collections.abc import Iterator

from keras_simsiam import files
from keras_simsiam.config import Run
from keras_simsiam.documents import read_json
from keras_simsiam.errors import InputError
from keras_simsiam.training.output import Output

ENDED = {
    "finished": "is finished",
    "collapsed": "was stopped because it had collapsed",
    "stopped": "was stopped by a callback",
}
"""How a run that cannot be resumed ended, in words, by the status in its summary."""

_LONGEST = 200  # bytes of a name, of 255: names of temporary files are longer


class RunFolder:
    """The files of one run.

    Attributes:
        path: ``run_dir/name``.
        saved_model: ``saved_model_dir/name``.
        checkpoints: Folder of checkpoints.

    Args:
        output: The name, and the folders to write to.
        dataset: Name of the dataset, from which the run's name is derived if none is given.

    Raises:
        InputError: If the name is not suitable for a folder, or one folder is inside the other.
    """

    def __init__(self, output: Output, dataset: str):
        name = output.name or derived_name(dataset)
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise InputError(
                "--name must consist of letters, digits, '.', '_' and '-', and start with a letter "
                f"or digit; got '{name}'"
            )
        self.path = pathlib.Path(output.run_dir) / name
        self.saved_model = pathlib.Path(output.saved_model_dir) / name
        self.checkpoints = self.path / "checkpoints"
        places = [pathlib.Path(os.path.realpath(p)) for p in (self.path, self.saved_model)]
        if any(a.is_relative_to(b) for a, b in itertools.permutations(places)):
            raise InputError(
                f"the folders of the run and of its SavedModel must be separate; got '{self.path}' "
                f"and '{self.saved_model}'"
            )
        self._config, self._summary = self.path / "config.yaml", self.path / "summary.json"
        self._baselines = self.path / "baselines.json"
        self._exported = self.path / "exported.json"

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Holds the run's folder and its SavedModel for this process alone.

        Files that a killed process left half-written are removed.

        Raises:
            InputError: If another process holds them, or they cannot be written to.
            CannotWrite: If the disk is full.
        """
        with files.claimed(self.path), files.claimed(self.saved_model, beside=True):
            files.recover(self.saved_model)
            for folder in (self.path, self.checkpoints):
                for partial in folder.glob(".partial.*"):
                    files.remove(partial)
            yield

    def check_free(self, overwrite: bool) -> None:
        """Raises InputError if a new run would replace anything.

        Args:
            overwrite: Whether it may replace an earlier run.
        """
        if _content(self.path):
            if not self._config.exists():
                raise _foreign(self.path)
            if not overwrite:
                ended = ENDED.get(self._status() or "")
                raise InputError(
                    f"'{self.path}' exists and {ended}; choose another --name, or --overwrite to "
                    "delete it"
                    if ended
                    else f"'{self.path}' exists and is not finished; choose another --name, "
                    "--resume to continue that run, or --overwrite to delete it"
                )
        if _content(self.saved_model):
            if not (self.saved_model / "saved_model.pb").exists():
                raise _foreign(self.saved_model)
            if not overwrite:
                raise InputError(
                    f"'{self.saved_model}' exists; choose another --name, or --overwrite to "
                    "delete it"
                )

    def owns(self, file: str | None) -> bool:
        """Whether a file is in a folder that the run writes to."""
        places = (os.path.realpath(p) for p in (self.path, self.saved_model.parent))
        return file is not None and any(
            pathlib.Path(os.path.realpath(file)).is_relative_to(p) for p in places
        )

    def how_to_go_on(self) -> str:
        """What to do once a disk can be written to again: resume the run, or start again."""
        return "continue with --resume" if self._config.exists() else "start again"

    def has_checkpoint(self) -> bool:
        """Whether there is any checkpoint, intact or not."""
        return any(self.checkpoints.glob("step-*.keras"))

    def check_begun(self) -> None:
        """Raises InputError if there is no run to resume. Must be called before `claimed`."""
        if not self._config.exists() and not (self.path / files.LOCK).exists():
            raise InputError(
                f"cannot resume: '{self.path}' has no checkpoint, and there is no run of that name"
            )

    def settings(self) -> Run | None:
        """The settings of the run in the folder; None if there are none.

        Raises:
            InputError: If they cannot be read.
        """
        return Run.load(self._config) if self._config.exists() else None

    def check_resumable(self, run: Run) -> None:
        """Raises InputError unless the folder has an unfinished run with the settings of `run`.

        That includes a run that was killed before its first checkpoint, or even before its settings
        were written. It starts again.
        """
        status = self._status()
        if status in ENDED:
            raise InputError(f"cannot resume: run '{self.path}' {ENDED[status]}")
        if not self.has_checkpoint():
            if status is not None:
                raise InputError(f"cannot resume: '{self.path}' has no checkpoint")
            if not self._config.exists() and _content(self.path):
                raise _foreign(self.path)
        if _content(self.saved_model) and not self._may_replace_saved_model():
            raise InputError(
                f"cannot resume: '{self.saved_model}' exists and is not this run's; choose another "
                "--saved-model-dir"
            )
        if status == "diverged":
            warnings.warn(
                f"run '{self.path}' diverged; it continues from a checkpoint before that with the "
                "same settings",
                stacklevel=2,
            )
        if self._config.exists() and self._config.stat().st_size:
            self.check_same(run)

    def ended(self, run: Run) -> dict | None:
        """The summary of a run that ended for good, of which there is nothing left to train.

        Returns:
            None if there is no such run.

        Raises:
            InputError: If its settings differ from those of `run`.
        """
        summary = _read_json(self._summary) or {}
        if summary.get("status") not in ENDED:
            return None
        self.check_same(run)
        return summary

    def check_same(self, run: Run) -> None:
        """Raises InputError if the settings in the folder differ from those of `run`."""
        before, now = Run.load(self._config).to_dict(), run.to_dict()
        # The images may have moved; a checkpoint recognizes them by their fingerprints.
        moved = ["data_dir", "check_files"]
        if all(s["data"]["dataset"].startswith("folder:") for s in (before, now)):
            moved.append("dataset")
        for section, values in before.items():
            for name, value in values.items():
                if name not in moved and now[section][name] != value:
                    raise InputError(
                        f"cannot resume: {name} was {value}, now {now[section][name]}; "
                        f"--config {self._config} restores the run's settings"
                    )

    def create(self, run: Run, baselines: dict) -> None:
        """Deletes an earlier run, if there is one, and writes the run's settings and baselines.

        The settings mark a folder as that of a run. So they are written first, and those of an
        earlier run are replaced after the rest of it is deleted: a kill at any moment leaves a
        folder that can be resumed or overwritten. The summary of an earlier run, which says that it
        is finished, is deleted first.
        """
        self._summary.unlink(missing_ok=True)
        files.discard(self.saved_model)
        for name in _content(self.path) - {self._config.name}:
            files.remove(self.path / name)
        run.save(self._config)
        files.write_json(self._baselines, baselines)

    def reopen(self, baselines: dict) -> None:
        """Prepares the folder for a resumed run, which has no summary until it ends again."""
        files.write_json(self._baselines, baselines)
        self._summary.unlink(missing_ok=True)

    def baselines(self) -> dict | None:
        """The baselines in the folder; None if there are none or the file is damaged."""
        return _read_json(self._baselines)

    def mark_exported(self, saved_model: pathlib.Path) -> None:
        """Records that a SavedModel is this run's, which may replace it when it is resumed.

        Args:
            saved_model: Its folder, before it takes the place of the last one. That one stays on
                record, because the run may be killed in between.
        """
        fingerprints = [*self._exported_fingerprints(), _fingerprint(saved_model)]
        files.write_json(self._exported, {"fingerprints": fingerprints})

    def _exported_fingerprints(self) -> list[str]:
        """Fingerprints of the SavedModels of this run."""
        return (_read_json(self._exported) or {}).get("fingerprints", [])

    def _may_replace_saved_model(self) -> bool:
        """Whether this run exported the SavedModel."""
        if self._exported.exists():
            return _fingerprint(self.saved_model) in self._exported_fingerprints()
        # Earlier versions recorded it in the summary only.
        return (_read_json(self._summary) or {}).get("saved_model") is not None

    def _status(self) -> str | None:
        """How the run ended; None if it has not, or if it was killed."""
        return (_read_json(self._summary) or {}).get("status")


def _content(folder: pathlib.Path) -> set[str]:
    """Names of what is in a folder, except the lock; if there is a file instead, its name."""
    if folder.is_dir():
        return set(os.listdir(folder)) - {files.LOCK}
    return {folder.name} if folder.exists() else set()


def _fingerprint(saved_model: pathlib.Path) -> str | None:
    """What tells a SavedModel from all others, wherever it is moved; None if it has none."""
    try:
        return hashlib.sha256((saved_model / "fingerprint.pb").read_bytes()).hexdigest()
    except OSError:
        return None


def _foreign(folder: pathlib.Path) -> InputError:
    return InputError(f"'{folder}' exists and was not written by a run; choose another --name")


def _read_json(path: pathlib.Path) -> dict | None:
    """The content of a JSON file; None if the file does not exist or is damaged."""
    try:
        return read_json(path)
    except InputError:
        return None


def derived_name(text: str) -> str:
    """A folder's name derived from any text, such as ``folder-home-me`` from "folder:/home/me".

    The middle of a long name is left out, because file systems allow 255 bytes.
    """
    name = re.sub(r"[^\w.-]+", "-", text).strip("-.")
    raw = name.encode()
    if len(raw) <= _LONGEST:
        return name
    ends = (raw[: _LONGEST // 2], raw[-_LONGEST // 2 :])
    return "--".join(end.decode(errors="ignore").strip("-.") for end in ends)
