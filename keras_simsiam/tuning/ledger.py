"""What became of each trial: one small file a trial, which a killed sweep leaves whole."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from dataclasses import dataclass, field

from keras_simsiam.training.output import write_json

METRICS = ("knn_top1", "knn_top5", "loss", "z_std", "projector_rank", "backbone_rank", "seconds")
"""What is recorded of a trial that was trained, from its summary."""

BASELINES = ("knn_top1_random_weights", "knn_top1_raw_pixels")
"""What its network and its images give without training."""


@dataclass
class Entry:
    """One trial.

    Attributes:
        number: From 0.
        values: Its values, by parameter.
        status: "running", "finished", "collapsed", or "failed".
        cause: Why it failed, or what the watch for collapse said.
        attempts: How often it was begun and not ended by the user.
        tuner: Who ran it, as Keras Tuner calls it.
        metrics: `METRICS` and `BASELINES` by name, where it was trained.
    """

    number: int
    values: dict
    status: str = "running"
    cause: str = ""
    attempts: int = 0
    tuner: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


class Ledger:
    """The entries of a sweep, in a folder."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def read(self, number: int) -> Entry | None:
        """An entry, or None where the trial was never begun."""
        path = self._path(number)
        return Entry(**json.loads(path.read_text())) if path.exists() else None

    def write(self, entry: Entry) -> None:
        """Writes an entry, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self._path(entry.number), dataclasses.asdict(entry))

    def entries(self) -> list[Entry]:
        """All that were begun, the best first, those without an accuracy last."""
        found = [Entry(**json.loads(p.read_text())) for p in self.folder.glob("*.json")]
        return sorted(found, key=lambda e: (-e.metrics.get("knn_top1", -1.0), e.number))

    def lock(self, number: int) -> pathlib.Path:
        """The file that who runs a trial holds locked."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self._path(number).with_suffix(".lock")

    def best(self) -> Entry | None:
        """The finished trial of the highest kNN accuracy; None where none has finished."""
        finished = (e for e in self.entries() if e.status == "finished")
        return next(finished, None)

    def _path(self, number: int) -> pathlib.Path:
        return self.folder / f"{number:04d}.json"
