"""The experiments that have results on disk, and how two variants compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from experiments import common
from keras_simsiam import InputError, documents
from keras_simsiam.tuning.results import Line

SEEDS_DIFFER = 0.04
"""By how much the kNN accuracies of two seeds differ at most, where there is only one seed."""

_SHOWN = ("title", "seeds", "versions", "minutes", "cited", "configuration")
"""What is shown of the files that `experiments.common.publish` writes."""


class Experiment(NamedTuple):
    """What an experiment has found.

    Attributes:
        name: Of its files.
        about: How it came about.
        lines: A line for each variant.
    """

    name: str
    about: dict[str, Any]
    lines: list[Line]

    @property
    def dataset(self) -> str:
        """The images that it trained on."""
        return self.about["configuration"]["data"]["dataset"]

    @property
    def images(self) -> str:
        """The dataset in words, with the size of the views if it is not that of the images."""
        size = self.about["configuration"]["data"]["image_size"]
        return f"{self.dataset} at {size} pixels" if size else self.dataset

    def line(self, *labels: str) -> Line | None:
        """The first line that has one of the labels."""
        return next((line for line in self.lines if line.label in labels), None)


def load() -> list[Experiment]:
    """All experiments that have results.

    Raises:
        InputError: If a file is not one that `experiments.common.publish` writes.
    """
    found = []
    for path in sorted((common.HERE / "results").glob("*.csv")):
        about_path = path.with_suffix(".yaml")
        about = documents.read_yaml(about_path)
        missing = [key for key in _SHOWN if key not in about]
        if missing:
            raise InputError(f"'{about_path}' must describe results; it has no '{missing[0]}'")
        found.append(Experiment(path.stem, about, common.read(path)))
    return found


def of(results: Sequence[Experiment], sweep: str, preset: str = "") -> list[Experiment]:
    """The experiments of a sweep; only those with a preset, or only those without one."""
    found = [e for e in results if e.name.startswith(f"{sweep}_{e.dataset}")]
    rests = [(e, e.name.removeprefix(f"{sweep}_{e.dataset}").split("_")) for e in found]
    return [e for e, rest in rests if (preset in rest if preset else "report" not in rest)]


def setup(found: Experiment, line: Line) -> str:
    """What the runs of a line are, in words."""
    settings = found.about["configuration"]
    model, batch = settings["model"], settings["training"]["batch_size"]
    return (
        f"{found.images}, {model['backbone']} of width {model['width']}, "
        f"{line.mean('steps') or 0:,.0f} steps of {batch} images"
    )


def collapsed(line: Line) -> int:
    """How many runs of a line collapsed, or of how many a monitor warned."""
    return sum(bool(entry.warned) or entry.status == "collapsed" for entry in line.entries)


def lengths(found: Experiment) -> dict[int, dict[str, Line]]:
    """The lines of the comparison by epochs and method."""
    lengths: dict[int, dict[str, Line]] = {}
    for line in found.lines:
        method, _, epochs = line.label.partition(", ")
        lengths.setdefault(int(epochs.split()[0]), {})[method] = line
    return lengths


def above(line: Line, other: Line) -> bool:
    """Whether the worst seed of a line is above the best of another; a single seed, clearly."""
    ours, theirs = ([v for v in x.measured("knn_top1") if v is not None] for x in (line, other))
    if not ours or not theirs:
        return False
    margin = SEEDS_DIFFER if min(len(ours), len(theirs)) == 1 else 0.0
    return min(ours) > max(theirs) + margin


def names(methods: Sequence[str]) -> str:
    """Methods in words."""
    return ", ".join(methods) if methods else "none"
