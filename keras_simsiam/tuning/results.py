"""What a sweep found: trials aggregated over seeds, the table, the figure and the best encoder."""

from __future__ import annotations

import collections
import csv
import pathlib
import shutil
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from keras_simsiam import metrics, plots
from keras_simsiam.files import written_atomically
from keras_simsiam.tuning.ledger import Entry, Ledger
from keras_simsiam.tuning.parameter import Value
from keras_simsiam.tuning.space import SEED, Space, short

MOST_BARS = 24
"""Combinations up to which a figure has a bar for each."""


@dataclass(frozen=True, eq=False)
class Line:
    """The trials that differ only in their seed: one line of a table.

    Attributes:
        label: What they have in common, in words.
        values: The same by parameter, without the seed.
        entries: The trials, in order.
        paper: The paper's figure; empty if it has none.
    """

    label: str
    values: dict[str, Value]
    entries: list[Entry]
    paper: str = ""

    def measured(self, key: str) -> list[float | None]:
        """A metric of each trial; None for those that lack it."""
        return [e.metrics.get(key) for e in self.entries]

    def mean(self, key: str) -> float | None:
        """The mean of a metric over the trials that have it; None if none has."""
        known = [v for v in self.measured(key) if v is not None]
        return statistics.mean(known) if known else None

    @property
    def status(self) -> str:
        """How the trials ended: "finished", or "2 of 3 collapsed"."""
        ends = collections.Counter(
            "warned of collapse" if e.status == "finished" and e.warned else e.status
            for e in self.entries
        )
        if set(ends) == {"finished"}:
            return "finished"
        if len(self.entries) == 1:
            (entry,), (end,) = self.entries, ends
            return f"{end}: {entry.cause}" if entry.failed else end
        count = len(self.entries)
        return ", ".join(f"{n} of {count} {end}" for end, n in ends.items() if end != "finished")


class Found(NamedTuple):
    """The results of a sweep.

    Attributes:
        space: What was searched.
        folder: Of the sweep.
        export: Where the best encoder is written.
        lines: In the order of trials.
    """

    space: Space
    folder: pathlib.Path
    export: pathlib.Path
    lines: list[Line]

    def best(self) -> Entry | None:
        """The best finished trial of the line with the highest mean accuracy."""
        for line in ranked(self.lines):
            finished = [e for e in line.entries if e.status == "finished"]
            if finished:
                return max(finished, key=lambda e: e.accuracy or 0.0)
        return None

    def run_folder(self, entry: Entry) -> pathlib.Path:
        """The run of a trial: its history, summary and figures."""
        return self.folder / "runs" / f"{entry.number:04d}"

    def saved_model(self, entry: Entry) -> pathlib.Path:
        """The exported encoder of a trial."""
        return self.folder / "saved_models" / f"{entry.number:04d}"


def aggregate(space: Space, entries: Iterable[Entry]) -> list[Line]:
    """Groups trials that differ only in their seed; the order is that of their first trials."""
    groups: dict[tuple, list[Entry]] = {}
    for entry in entries:
        key = tuple((k, v) for k, v in entry.values.items() if k != SEED)
        groups.setdefault(key, []).append(entry)
    return [
        Line(space.label(dict(key)), dict(key), group, space.paper(dict(key)))
        for key, group in groups.items()
    ]


def ranked(lines: Iterable[Line]) -> list[Line]:
    """The lines of the highest mean accuracy first, those without any last."""
    means = [(line.mean("knn_top1"), line) for line in lines]
    best_first = sorted(means, key=lambda pair: (pair[0] is None, -(pair[0] or 0.0)))
    return [line for _, line in best_first]


def write(space: Space, folder: pathlib.Path, export: pathlib.Path, title: str) -> Found:
    """Writes ``results.csv``, ``results.png``, ``best.yaml`` and the best encoder.

    Args:
        space: What was searched.
        folder: Of the sweep.
        export: Where the best encoder is written.
        title: Of the figure.

    Returns:
        The results.
    """
    found = Found(space, folder, export, aggregate(space, Ledger(folder / "trials").entries()))
    _write_csv(found, folder / "results.csv")
    if any(line.mean("knn_top1") is not None for line in found.lines):
        draw(found, folder / "results.png", title)
    best = found.best()
    if best is not None:
        shutil.copyfile(found.run_folder(best) / "config.yaml", folder / "best.yaml")
        with written_atomically(export) as partial:
            shutil.copytree(found.saved_model(best), partial)
    return found


def trials_table(found: Found) -> list[list[str]]:
    """The table of a search, best first: the trials' numbers, and a column for each parameter."""
    lines, names = ranked(found.lines), found.space.headings
    columns = []
    for line in lines:
        shown = found.space.shown(line.values)
        trials = ", ".join(str(e.number + 1) for e in line.entries)
        columns.append(
            {"trial": trials, **{n: short(shown[n]) if n in shown else "" for n in names}}
        )
    return table(lines, columns)


def table(
    lines: Sequence[Line],
    columns: Sequence[Mapping[str, str]],
    cited: Sequence[Mapping[str, str]] = (),
) -> list[list[str]]:
    """Means and ranges over seeds, then the baselines, then what others reported.

    Args:
        lines: One each.
        columns: For each line what identifies it, by heading.
        cited: Other people's numbers as text, by metric, with ``variant`` and ``paper``.

    Returns:
        Rows of cells, the first the headings.
    """
    entries = [e for line in lines for e in line.entries]
    shown = metrics.table_columns([e.metrics for e in entries])
    first = list(columns[0]) if columns else []
    rows = [[*first, *(metrics.describe(key).heading for key in shown)]]
    rows[0] += ["status", "paper, ImageNet"]
    for line, identified in zip(lines, columns, strict=True):
        cells = [mean_and_range(key, line.measured(key)) for key in shown]
        rows.append([*identified.values(), *cells, line.status, line.paper or "-"])
    blank = [""] * (len(first) - 1)
    for baseline, label in metrics.BASELINES.items():
        measured = {
            key: [e.metrics.get(metrics.baseline_key(key, baseline)) for e in entries]
            for key in shown
        }
        if any(v is not None for values in measured.values() for v in values):
            cells = [mean_and_range(key, values, "") for key, values in measured.items()]
            rows.append([f"*{label}*", *blank, *cells, "", ""])
    for other in cited:
        cells = [other.get(key, "") for key in shown]
        rows.append([f"*{other['variant']}*", *blank, *cells, "", other.get("paper", "")])
    return rows


def mean_and_range(key: str, values: Sequence[float | None], missing: str = "-") -> str:
    """A metric over seeds, such as "53.9% (51.3% to 55.6%)"; `missing` if no seed has it."""
    known = [v for v in values if v is not None]
    if not known:
        return missing
    mean, low, high = (
        metrics.cell(key, v) for v in (statistics.mean(known), min(known), max(known))
    )
    return mean if low == high else f"{mean} ({low} to {high})"


def baselines(lines: Iterable[Line]) -> dict[str, float]:
    """The baselines of every metric by key, means over the trials."""
    entries = [e for line in lines for e in line.entries]
    found = {}
    for key in dict.fromkeys(key for e in entries for key in e.metrics):
        values = [v for e in entries if (v := e.metrics.get(key)) is not None]
        if values and key not in metrics.METRICS:
            found[key] = statistics.mean(values)
    return found


def _spread(values: list) -> bool:
    """Whether numbers differ so much that the smallest would overlap on a linear axis."""
    there = [v for v in values if v is not None]
    numbers = [v for v in there if isinstance(v, int | float) and not isinstance(v, bool)]
    return len(numbers) == len(there) > 0 and max(numbers) >= 10 * min(numbers) > 0


def draw(found: Found, path: pathlib.Path, title: str) -> None:
    """Draws accuracies: over one number, as bars for a few combinations, else as coordinates."""
    space, key = found.space, "knn_top1"
    means = {line: mean for line in found.lines if (mean := line.mean(key)) is not None}
    untrained = baselines(means)
    name = space.varied[0].name if space.varied else SEED
    # One whole number, on which the other parameters, if there are any, depend.
    alone = all(set(p.when) == {name} for p in space.varied[1:])
    numbers = {v: line for line in means if type(v := line.values.get(name)) is int}
    if alone and len(numbers) == len(means):
        series = {float(number): numbers[number].measured(key) for number in sorted(numbers)}
        label = name.split(".")[-1].replace("_", " ")
        plots.metric_over(label, {key: series}, path, title, untrained)
    elif space.size(seeds=False) <= MOST_BARS:
        bars = {line.label or "all": line.measured(key) for line in means}
        plots.compared_bars(bars, path, title, untrained)
    else:
        shown = [space.shown(line.values) for line in means]
        settings = {name: [values.get(name) for values in shown] for name in space.headings}
        logarithmic = {p.heading for p in space.varied if p.log}
        logarithmic |= {name for name, column in settings.items() if _spread(column)}
        plots.parallel_coordinates(settings, list(means.values()), path, title, logarithmic)


def _write_csv(found: Found, path: pathlib.Path) -> None:
    """A row for each trial, best line first."""
    entries = [e for line in ranked(found.lines) for e in line.entries]
    names = list(dict.fromkeys(p.heading for p in found.space.parameters))
    measured = list(dict.fromkeys(key for e in entries for key in e.metrics))
    with (
        written_atomically(path) as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["trial", *names, "status", "cause", "attempts", "tuner", *measured])
        for e in entries:
            known = e.values | found.space.shown(e.values)
            values = [known.get(name, "") for name in names]
            cells = [e.metrics.get(key) for key in measured]
            writer.writerow([e.number + 1, *values, e.status, e.cause, e.attempts, e.tuner, *cells])
