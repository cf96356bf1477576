"""The folder of a run, which never replaces anything but an earlier run."""

from __future__ import annotations

import contextlib
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

ENDED = {"finished": "is finished", "collapsed": "was stopped because it had collapsed"}
"""What is said of a run that ended for good, by the status in its summary."""

_LONGEST = 200  # bytes of a name; what is written beside a folder has longer ones


class RunFolder:
    """The files of one run.

    Attributes:
        path: ``run_dir/name``.
        saved_model: ``saved_model_dir/name``.
        checkpoints: Folder of checkpoints.

    Args:
        output: Where to write.
        dataset: The default name.

    Raises:
        InputError: If the name cannot be that of a folder.
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
                f"the run and its SavedModel must be folders apart; got '{self.path}' and "
                f"'{self.saved_model}'"
            )
        self._config, self._summary = self.path / "config.yaml", self.path / "summary.json"
        self._baselines = self.path / "baselines.json"
        self._exported = self.path / "exported.json"

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Holds the folder and the SavedModel for this process alone.

        What a killed process left half-written is removed.

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
        """Whether a file lies where the run writes."""
        places = (os.path.realpath(p) for p in (self.path, self.saved_model.parent))
        return file is not None and any(
            pathlib.Path(os.path.realpath(file)).is_relative_to(p) for p in places
        )

    def how_to_go_on(self) -> str:
        """What to do after an error that is no fault of the run's."""
        return "continue with --resume" if self._config.exists() else "start again"

    def has_checkpoint(self) -> bool:
        """Whether there is any checkpoint, intact or not."""
        return any(self.checkpoints.glob("step-*.keras"))

    def check_begun(self) -> None:
        """Raises InputError if there is nothing to resume; to be called before the claim."""
        if not self._config.exists() and not (self.path / files.LOCK).exists():
            raise InputError(
                f"cannot resume: '{self.path}' has no checkpoint, and there is no run of that name"
            )

    def check_resumable(self, run: Run) -> None:
        """Raises InputError if the folder has no unfinished run with the settings of `run`.

        A run that was killed before its first checkpoint, or even before its settings were written,
        is one; it starts again.
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
                f"run '{self.path}' diverged, and goes on from a checkpoint before that with the "
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
        # The images may have moved; a checkpoint knows them by what they are.
        moved = ["data_dir"]
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
        """Writes the run's settings and baselines, and deletes an earlier run, if there is one.

        The settings mark the folder as that of a run: they are the first file to be written, and
        those of an earlier run are replaced last, so that a kill at any moment leaves a folder that
        can be resumed or overwritten. The summary, which says that a run is finished, goes first.
        """
        self._summary.unlink(missing_ok=True)
        files.discard(self.saved_model)
        for name in _content(self.path) - {self._config.name}:
            files.remove(self.path / name)
        run.save(self._config)
        files.write_json(self._baselines, baselines)

    def go_on(self, baselines: dict) -> None:
        """Makes the folder that of a run under way again, which has no summary."""
        files.write_json(self._baselines, baselines)
        self._summary.unlink(missing_ok=True)

    def baselines(self) -> dict | None:
        """The baselines in the folder; None if there are none, or they are damaged."""
        return _read_json(self._baselines)

    def mark_exported(self) -> None:
        """Notes that the SavedModel will be this run's, so that it may replace it later."""
        files.write_json(self._exported, {"saved_model": os.path.realpath(self.saved_model)})

    def _may_replace_saved_model(self) -> bool:
        """Whether this run exported the SavedModel."""
        noted = _read_json(self._exported)
        if noted is not None:
            return noted.get("saved_model") == os.path.realpath(self.saved_model)
        # Earlier versions noted it in the summary only.
        return (_read_json(self._summary) or {}).get("saved_model") is not None

    def _status(self) -> str | None:
        """How the last process ended; None if it was killed, or has yet to end."""
        return (_read_json(self._summary) or {}).get("status")


def _content(folder: pathlib.Path) -> set[str]:
    """Names of what is in a folder, but for the lock; of a file in its place, its own name."""
    if folder.is_dir():
        return set(os.listdir(folder)) - {files.LOCK}
    return {folder.name} if folder.exists() else set()


def _foreign(folder: pathlib.Path) -> InputError:
    return InputError(f"'{folder}' exists and was not written by a run; choose another --name")


def _read_json(path: pathlib.Path) -> dict | None:
    """What is in a JSON file; None if it is not there or damaged."""
    try:
        return read_json(path)
    except InputError:
        return None


def derived_name(text: str) -> str:
    """The name of a folder from any text, such as ``folder-home-me`` from "folder:/home/me".

    The middle of a long one is left out, because file systems allow 255 bytes.
    """
    name = re.sub(r"[^\w.-]+", "-", text).strip("-.")
    raw = name.encode()
    if len(raw) <= _LONGEST:
        return name
    ends = (raw[: _LONGEST // 2], raw[-_LONGEST // 2 :])
    return "--".join(end.decode(errors="ignore").strip("-.") for end in ends)
