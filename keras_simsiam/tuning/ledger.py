"""The outcome of each trial, one small file per trial, so that a killed sweep can continue."""

from __future__ import annotations

import dataclasses
import pathlib
import warnings
from dataclasses import dataclass, field
from typing import Any

from keras_simsiam.documents import read_json
from keras_simsiam.errors import InputError
from keras_simsiam.files import write_json


@dataclass
class Entry:
    """One trial.

    Attributes:
        number: From 0.
        values: Value of each parameter.
        status: "running", "finished", "collapsed" (at its end), "diverged" or "failed".
        cause: Why it diverged or failed, or what the collapse monitor warned of.
        attempts: How often it was started.
        tuner: Keras Tuner's name of the process that ran it.
        metrics: Those of `keras_simsiam.metrics` that were measured, and their baselines.
    """

    number: int
    values: dict[str, Any]
    status: str = "running"
    cause: str = ""
    attempts: int = 0
    tuner: str = ""
    metrics: dict[str, float | None] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether it gave no result."""
        return self.status in ("diverged", "failed")

    @property
    def warned(self) -> bool:
        """Whether the collapse monitor warned; the run may have recovered."""
        return self.status in ("finished", "collapsed") and bool(self.cause)

    @property
    def accuracy(self) -> float | None:
        """kNN top-1, by which trials are compared; None if it was not measured."""
        return self.metrics.get("knn_top1")


class Ledger:
    """The entries of a sweep.

    Args:
        folder: Holds them, ``0000.json`` first.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def read(self, number: int) -> Entry | None:
        """An entry; None if the trial was never started, or its file is damaged."""
        path = self._path(number)
        try:
            return Entry(**read_json(path)) if path.exists() else None
        except (InputError, TypeError):
            warnings.warn(f"'{path}' is damaged; its trial is taken up again", stacklevel=2)
            return None

    def write(self, entry: Entry) -> None:
        """Writes an entry atomically."""
        write_json(self._path(entry.number), dataclasses.asdict(entry))

    def entries(self) -> list[Entry]:
        """All trials that were started, in order."""
        numbers = sorted(int(p.stem) for p in self.folder.glob("*.json") if p.stem.isdigit())
        return [entry for number in numbers if (entry := self.read(number)) is not None]

    def lock(self, number: int) -> pathlib.Path:
        """The file that the process running a trial keeps locked."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self._path(number).with_suffix(".lock")

    def best(self) -> Entry | None:
        """The finished trial of the highest accuracy; None if no trial has finished."""
        finished = [e for e in self.entries() if e.status == "finished"]
        return max(finished, key=lambda e: (e.accuracy or 0.0, -e.number), default=None)

    def _path(self, number: int) -> pathlib.Path:
        return self.folder / f"{number:04d}.json"
