"""What the benchmarks share: rivals in turn, medians and ranges, what they ran on."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import importlib.util
import json
import multiprocessing
import os
import pathlib
import platform
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from importlib import metadata

from keras_simsiam import plots

HERE = pathlib.Path(__file__).parents[1]
PACKAGES = ("tensorflow", "keras", "torch", "torchvision", "pillow", "faiss-cpu", "scikit-learn")


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


@contextlib.contextmanager
def processes(
    makers: dict[str, Callable[..., Callable[[], int]]], *args, cores: int = 1, seconds: float = 2.0
) -> Iterator[dict[str, Callable[[], float]]]:
    """Rivals that live in processes of their own, which take turns on the same cores.

    Args:
        makers: For each name a function at the top of a module, which is called once with `args`
            in its process, and gives a function that does a bit of the work and says how much.
        *args: For the makers.
        cores: How many cores each may use.
        seconds: How long a measurement takes at least; 0 for a single bit of the work.

    Yields:
        For each name what gives one measurement, the work done a second.
    """
    with contextlib.ExitStack() as stack:
        rivals = {}
        for name, maker in makers.items():
            pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            stack.enter_context(pool)
            with _cores(cores):
                group = pool.submit(_lead).result()  # starts it, and it keeps to these cores
            stack.callback(os.killpg, group, signal.SIGCONT)
            os.killpg(group, signal.SIGSTOP)
            rivals[name] = functools.partial(_in_turn, pool, group, maker, args, seconds)
        yield rivals


def _lead() -> int:
    """Makes this process the leader of a group, of the workers that it may start."""
    os.setsid()
    return os.getpid()


def _in_turn(pool, group, maker, args, seconds) -> float:
    """A measurement of a rival that otherwise stands still, for it would work ahead."""
    os.killpg(group, signal.SIGCONT)
    try:
        return pool.submit(_measure, maker, args, seconds).result()
    finally:
        os.killpg(group, signal.SIGSTOP)


@contextlib.contextmanager
def _cores(count: int) -> Iterator[None]:
    """Keeps this process, and what it starts, to some cores, and TensorFlow's talk to itself."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_cores)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)


_started: dict = {}


def _measure(maker, args, seconds: float) -> float:
    """Work a second of what a maker makes; it is made, and warmed up, only once in a process."""
    if maker not in _started:
        _started[maker] = maker(*args)
        for _ in range(3 if seconds else 1):
            _started[maker]()
    work, started = 0, time.perf_counter()
    while not work or time.perf_counter() < started + seconds:
        work += _started[maker]()
    return work / (time.perf_counter() - started)


def import_torchvision() -> None:
    """Makes torchvision importable beside a torch that its C++ operators were not built for.

    The package index has torchvision for CUDA only. Beside a CPU's torch its import fails, because
    it describes operators that could not be loaded; declaring them is enough, for transforms and
    ResNets use none.
    """
    import torch

    with contextlib.suppress(ImportError, RuntimeError, OSError):
        folder = pathlib.Path(importlib.util.find_spec("torchvision").origin).parent
        torch.ops.load_library(str(folder / "_C.so"))
        return
    global _declared  # the operators live as long as this does
    _declared = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        _declared.define(f"{operator}() -> ()")


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
        **{name: metadata.version(name) for name in PACKAGES if _installed(name)},
    }
    print(", ".join(f"{k} {v}" for k, v in machine.items()))
    path = HERE / "results/benchmarks" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    written = {"title": title, "unit": unit, "results": results, **machine}
    path.write_text(json.dumps(written, indent=2) + "\n")
    plots.measured(found, HERE / "figures" / f"benchmark_{name}.png", title, unit)


def _installed(name: str) -> bool:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return bool(metadata.version(name))
    return False
