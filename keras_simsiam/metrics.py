"""The table of metrics, which history, summary, sweeps, tables and plots read.

To add a metric, log it from the training step or a callback and add a line to `METRICS`::

    METRICS["knn_top1"].heading      # "kNN top-1"
    METRICS["knn_top1"].panel        # how `plots` draws it over epochs, or None
    describe("knn_top1_raw_pixels")  # Metric(heading="kNN top-1, raw pixels", ...); any key works
    cell("knn_top1", 0.5123)         # "51.2%"; "-" for None
    SUMMARY                          # keys of summary.json and of a sweep's results
    history_columns(rows)            # columns of history.csv
    table_columns(rows)              # columns of a table that compares runs
    in_history("images_per_second")  # False: it differs from run to run
    with_baselines(["knn_top1"])     # ["knn_top1", "knn_top1_random_weights", ...]
    baselines(summary, "knn_top1")   # {"random weights": 0.32, "raw pixels": 0.28}
    formatted(summary)               # {"loss": "-0.705", "kNN top-1": "55.6%", ...}

This module imports neither TensorFlow nor NumPy.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Panel:
    """How a metric is drawn over epochs.

    Attributes:
        unit: Follows the metric's heading on the y axis.
        limits: The smallest and the largest possible value; unknown if None.
        scale: Factor from the metric to the y axis, 100 for percent.
        references: Values to mark with a horizontal line, each with its label.
    """

    unit: str = ""
    limits: tuple[float, float] | None = None
    scale: float = 1.0
    references: tuple[tuple[float, str], ...] = ()

    def fits(self, values: Collection[float]) -> bool:
        """Whether the limits and references apply to values: not if all lie outside the limits.

        The losses of other methods, for example, have other limits than SimSiam's.
        """
        low, high = self.limits or (-math.inf, math.inf)
        return not values or any(low <= value <= high for value in values)


@dataclass(frozen=True)
class Metric:
    """An entry of the table.

    Attributes:
        key: Its name in logs, histories and summaries.
        heading: Its name in tables.
        format: Format string of a value in a table.
        history: Whether history.csv has a column for it: "always", "if logged", or "never",
            because its values differ between runs of the same seed.
        summary: Whether summary.json and a sweep's results have it.
        table: Whether tables that compare runs show it.
        curve: Whether TensorBoard shows it.
        panel: How it is drawn over epochs; not drawn if None.
    """

    key: str
    heading: str
    format: str = "{:.4g}"
    history: Literal["always", "if logged", "never"] = "if logged"
    summary: bool = True
    table: bool = True
    curve: bool = True
    panel: Panel | None = None


_LOSS = Panel(limits=(-1, 0), references=((-1, "smallest possible"),))
_Z_STD = Panel(
    "(× √d)", limits=(0, 1), references=((1, "spread over the sphere"), (0, "collapsed"))
)
_ACCURACY = Panel("accuracy (%)", scale=100)

METRICS = {
    metric.key: metric
    for metric in (
        Metric("loss", "loss", "{:.3f}", "always", panel=_LOSS),
        Metric("z_std", "z_std", "{:.2f}", "always", panel=_Z_STD),
        Metric("learning_rate", "learning rate", "{:.4g}", "always", summary=False, table=False),
        Metric("knn_top1", "kNN top-1", "{:.1%}", "always", panel=_ACCURACY),
        Metric("backbone_std", "std of features", "{:.2f}", "always", summary=False, table=False),
        Metric("projector_std", "std of z", "{:.2f}", "always", summary=False, table=False),
        Metric("backbone_rank", "rank of features", "{:.1f}", "always"),
        Metric("projector_rank", "rank of z", "{:.1f}", "always"),
        # Of images without labels, in place of kNN accuracy.
        Metric("view_retrieval", "view retrieval", "{:.1%}", summary=False),
        Metric("knn_top5", "kNN top-5", "{:.1%}", table=False),
        Metric("linear_top1", "linear top-1", "{:.1%}", summary=False, panel=_ACCURACY),
        Metric("top1", "top-1", "{:.1%}", summary=False, panel=_ACCURACY),
        Metric("images_per_second", "images/s", "{:,.0f}", "never", table=False),
        Metric("input_wait", "input wait", "{:.0%}", "never", summary=False, table=False),
        Metric("step_ms", "ms a step", "{:.0f}", "never", summary=False, curve=False),
        Metric("step_memory", "memory, MiB", "{:,.0f}", "never", summary=False, curve=False),
        Metric("seconds", "seconds", "{:.0f}", "never"),
        Metric("minutes_left", "minutes left", "{:.1f}", "never", False, table=False, curve=False),
    )
}
"""By key, in the order of columns."""

BASELINES = {"random_weights": "random weights", "raw_pixels": "raw pixels"}
"""Accuracies without training: the end of their keys (see `baseline_key`), and their labels."""

SUMMARY = tuple(key for key, metric in METRICS.items() if metric.summary)
"""Keys of summary.json and of a sweep's results."""


def baseline_key(metric: str, baseline: str) -> str:
    """The key of a metric's baseline, such as ``knn_top1_random_weights``."""
    return f"{metric}_{baseline}"


def with_baselines(metrics: Iterable[str]) -> list[str]:
    """The keys of metrics, each followed by those of its baselines."""
    return [key for m in metrics for key in (m, *(baseline_key(m, b) for b in BASELINES))]


def baselines(values: Mapping[str, float | None], metric: str) -> dict[str, float]:
    """The baselines of a metric that `values`, such as a summary, has: by label, without None."""
    found = {label: values.get(baseline_key(metric, b)) for b, label in BASELINES.items()}
    return {label: value for label, value in found.items() if value is not None}


def describe(key: str) -> Metric:
    """The table's entry for a metric or a baseline, or a default for an unknown key."""
    if key in METRICS:
        return METRICS[key]
    for baseline, label in BASELINES.items():
        metric = METRICS.get(key.removesuffix(baseline_key("", baseline)))
        if metric is not None:
            return dataclasses.replace(metric, key=key, heading=f"{metric.heading}, {label}")
    return Metric(key, key.replace("_", " "))


def cell(key: str, value: float | None) -> str:
    """A value as tables show it; "-" if None."""
    return "-" if value is None else describe(key).format.format(value)


def formatted(values: Mapping[str, Any]) -> dict[str, str]:
    """The formatted metrics in `values`, such as a summary, by heading.

    They are in the table's order, each metric followed by its baselines.
    """
    keys = [key for key in with_baselines(METRICS) if key in values]
    return {describe(key).heading: cell(key, values[key]) for key in keys}


def in_history(key: str) -> bool:
    """Whether history.csv keeps a metric: all but those that differ between equal runs."""
    return describe(key).history != "never"


def history_columns(rows: Iterable[Mapping[str, float]]) -> list[str]:
    """The columns of history.csv: "epoch", those always there, then whatever else `rows` have."""
    logged = dict.fromkeys(key for row in rows for key in row)
    always = [key for key, metric in METRICS.items() if metric.history == "always"]
    known = [key for key in METRICS if key in logged]
    kept = filter(in_history, [*always, *known, *logged])
    return list(dict.fromkeys(["epoch", *kept]))


def table_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The metrics that a table comparing `rows` shows: those that at least one row has."""
    measured = {key for row in rows for key in row}
    return [key for key, metric in METRICS.items() if metric.table and key in measured]
