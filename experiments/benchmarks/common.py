"""What the benchmarks share: rivals in turn, medians and ranges, what they ran on."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import statistics
from collections.abc import Callable
from importlib import metadata

from keras_simsiam import plots

HERE = pathlib.Path(__file__).parents[1]


def paired(rivals: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measures every rival in each round, one after the other, so that a busy minute hits all.

    Args:
        rivals: For each name what gives one measurement, more being better.
        rounds: How often.

    Returns:
        The measurements, in order.
    """
    found = {name: [] for name in rivals}
    for number in range(1, rounds + 1):
        for name, measure in rivals.items():
            found[name].append(measure())
            print(f"round {number} of {rounds}: {name} {found[name][-1]:,.0f}", flush=True)
    return found


def report(name: str, title: str, unit: str, found: dict[str, list[float]]) -> None:
    """Prints ratios to the first rival, medians and ranges; writes JSON and a figure."""
    first = next(iter(found))
    reference = statistics.median(found[first])
    results = {
        rival: {
            "ratio": statistics.median(values) / reference,
            "median": statistics.median(values),
            "range": [min(values), max(values)],
        }
        for rival, values in found.items()
    }
    print(f"\n| {title} | ratio to {first} | median, {unit} | range |\n|---|---|---|---|")
    for rival, r in results.items():
        low, high = r["range"]
        print(f"| {rival} | {r['ratio']:.2f} | {r['median']:,.0f} | {low:,.0f} to {high:,.0f} |")
    machine = {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("tensorflow", "keras")},
    }
    print(", ".join(f"{k} {v}" for k, v in machine.items()))
    path = HERE / "results/benchmarks" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    written = {"title": title, "unit": unit, "results": results, **machine}
    path.write_text(json.dumps(written, indent=2) + "\n")
    plots.measured(found, HERE / "figures" / f"benchmark_{name}.png", title, unit)
