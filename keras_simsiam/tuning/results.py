"""What a sweep found: its table, its figure, and the best of its trials."""

from __future__ import annotations

import csv
import os
import pathlib
import shutil
import statistics

from keras_simsiam import metrics, plots
from keras_simsiam.tuning.ledger import BASELINES, Entry, Ledger
from keras_simsiam.tuning.space import Space
from keras_simsiam.tuning.tuner import short

MOST_BARS = 20


def write(space: Space, folder: pathlib.Path, export: pathlib.Path, title: str) -> list[list[str]]:
    """Writes ``results.csv`` and ``results.png``, and of the best trial ``best.yaml`` and `export`.

    Args:
        space: What was searched.
        folder: Of the sweep.
        export: Where the best encoder goes.
        title: Of the figure.

    Returns:
        The table, best first.
    """
    ledger = Ledger(folder / "trials")
    entries = ledger.entries()
    lines = table(space, entries)
    _write_csv(space, entries, folder / "results.csv")
    trained = [e for e in entries if e.metrics.get("knn_top1") is not None]
    if trained:
        draw(space, trained, folder / "results.png", title)
    best = ledger.best()
    if best is not None:
        name = f"{best.number:04d}"
        shutil.copyfile(folder / "runs" / name / "config.yaml", folder / "best.yaml")
        aside = export.with_name(f"{export.name}.partial")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(folder / "saved_models" / name, aside)
        shutil.rmtree(export, ignore_errors=True)
        os.replace(aside, export)
    return lines


def table(space: Space, entries: list[Entry]) -> list[list[str]]:
    """A line of heads, one a trial, and the baselines last."""
    names = [p.name for p in space.parameters]
    figures = {"z_std": "{:.2f}", "projector_rank": "{:.1f}", "seconds": "{:.0f}"}
    lines = [["trial", *names, "kNN top-1", "loss", "z_std", "rank of z", "seconds", "status"]]
    lines[0].append("paper, ImageNet")
    for entry in entries:
        forms = {"knn_top1": "{:.1%}", "loss": "{:.3f}", **figures}
        found = ((entry.metrics.get(name), form) for name, form in forms.items())
        cells = ["-" if value is None else form.format(value) for value, form in found]
        status = f"{entry.status}: {entry.cause}" if entry.status == "failed" else entry.status
        values = [short(entry.values[name]) if name in entry.values else "" for name in names]
        paper = space.paper(entry.values) or "-"
        lines.append([str(entry.number + 1), *values, *cells, status, paper])
    for name, accuracy in metrics.baselines(baselines(entries), "knn_top1").items():
        lines.append(
            [f"*{name}*", *[""] * len(names), f"{accuracy:.1%}", *[""] * 6][: len(lines[0])]
        )
    return lines


def baselines(entries: list[Entry]) -> dict[str, float]:
    """Mean kNN accuracy of random weights and of raw pixels over the trials, by key."""
    found = {}
    for key in BASELINES:
        values = [e.metrics[key] for e in entries if e.metrics.get(key) is not None]
        if values:
            found[key] = statistics.mean(values)
    return found


def draw(space: Space, entries: list[Entry], path: pathlib.Path, title: str) -> None:
    """Bars where there are a few named choices, a line over one number, else coordinates."""
    accuracy = {e.number: e.metrics["knn_top1"] for e in entries}
    first = space.parameters[0]
    conditional = [p for p in space.parameters[1:] if set(p.when) != {first.name}]
    if not conditional and all(isinstance(e.values[first.name], int) for e in entries):
        by_value = {e.values[first.name]: [accuracy[e.number]] for e in entries}
        series = {"knn_top1": dict(sorted(by_value.items()))}
        plots.metric_over(
            first.name.split(".")[-1].replace("_", " "), series, path, title, baselines(entries)
        )
    elif space.size() <= MOST_BARS:
        in_order = sorted(entries, key=lambda e: e.number)
        plots.compared_bars(
            {_label(space, e): [accuracy[e.number]] for e in in_order},
            path,
            title,
            baselines(entries),
        )
    else:
        plots.parallel_coordinates(
            {p.name: [e.values.get(p.name) for e in entries] for p in space.parameters},
            list(accuracy.values()),
            path,
            title,
            {p.name for p in space.parameters if p.log},
        )


def _label(space: Space, entry: Entry) -> str:
    """A trial by its values."""
    first, *rest = [p.name for p in space.parameters if p.name in entry.values]
    plain = {name: name.split(".")[-1].replace("_", " ") for name in rest}
    more = [f"{plain[name]} {short(entry.values[name])}" for name in rest]
    return ", ".join([short(entry.values[first]), *more])


def _write_csv(space: Space, entries: list[Entry], path: pathlib.Path) -> None:
    names = [p.name for p in space.parameters]
    metrics = list(dict.fromkeys(key for e in entries for key in e.metrics))
    aside = path.with_suffix(".partial")
    with aside.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", *names, "status", "cause", "attempts", "tuner", *metrics])
        for e in entries:
            values = [e.values.get(name, "") for name in names]
            found = [e.metrics.get(name) for name in metrics]
            writer.writerow([e.number + 1, *values, e.status, e.cause, e.attempts, e.tuner, *found])
    os.replace(aside, path)
