"""What the benchmarks share: rivals in turn, medians and ranges, what they ran on."""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib.util
import json
import math
import multiprocessing
import os
import pathlib
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata

from keras_simsiam import plots
from keras_simsiam.tables import markdown

HERE = pathlib.Path(__file__).parents[1]
PACKAGES = (
    "tensorflow",
    "keras",
    "torch",
    "torchvision",
    "lightly",
    "pillow",
    "faiss-cpu",
    "scikit-learn",
)


def paired(rivals: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measures every rival in each round, one after the other, so that a busy minute hits all.

    Args:
        rivals: For each name what gives one measurement, more being better.
        rounds: How often.

    Returns:
        The measurements, in order.
    """
    found = {name: [] for name in rivals}
    for turn in range(1, rounds + 1):
        for name, measure in rivals.items():
            found[name].append(measure())
            print(f"round {turn} of {rounds}: {name} {number(found[name][-1])}", flush=True)
    return found


class Rival:
    """One of those that are measured, in a process group of its own that else stands still.

    Standing still, it neither works ahead in another's turn nor takes cores from it.

    Attributes:
        start: Seconds from asking for it to the end of its first bit of work, imports included.
        memory: MiB resident after its last turn, of all its processes; a page that they share
            counts once.

    Args:
        pool: Of one process, not started.
        make: See `processes`, with its arguments.
        cores: How many it may use.
        seconds: How long a measurement takes at least.
    """

    def __init__(self, pool, make: Callable, cores: int, seconds: float):
        self._pool, self._make, self._seconds = pool, make, seconds
        self.start = self.memory = math.nan
        with _cores(cores):
            self.group = pool.submit(_lead).result()  # starts it, and it keeps to these cores
        os.killpg(self.group, signal.SIGSTOP)

    def __call__(self) -> float:
        """Work done a second, in its turn."""
        os.killpg(self.group, signal.SIGCONT)
        try:
            rate, self.start = self._pool.submit(_measure, self._make, self._seconds).result()
            self.memory = _resident(self.group)
            return rate
        finally:
            os.killpg(self.group, signal.SIGSTOP)


@contextlib.contextmanager
def processes(
    makers: dict[str, Callable[[], Callable[[], int]]], cores: int = 1, seconds: float = 2.0
) -> Iterator[dict[str, Rival]]:
    """Rivals that live in processes of their own, which take turns on the same cores.

    Args:
        makers: For each name a function at the top of a module, or a partial of one, which is
            called once in its process, and gives a function that does a bit of the work and says
            how much.
        cores: How many cores each may use.
        seconds: How long a measurement takes at least; 0 for a single bit of the work.

    Yields:
        For each name what gives one measurement, the work done a second.
    """
    with contextlib.ExitStack() as stack:
        rivals = {}
        for name, make in makers.items():
            pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            stack.enter_context(pool)
            rivals[name] = Rival(pool, make, cores, seconds)
            stack.callback(os.killpg, rivals[name].group, signal.SIGCONT)
        yield rivals


def _lead() -> int:
    """Makes this process the leader of a group, of the workers that it may start."""
    os.setsid()
    return os.getpid()


def _resident(group: int) -> float:
    """MiB in memory of the processes of a group."""
    found = 0
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getpgid(int(process.name)) == group:
                lines = (process / "smaps_rollup").read_text().splitlines()
                found += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return found / 1024


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


_work: Callable[[], int] | None = None
_start = math.nan


def _measure(make: Callable, seconds: float) -> tuple[float, float]:
    """Work a second of what `make` makes, once in a process; and how long the first bit took."""
    global _work, _start
    if _work is None:
        asked = time.perf_counter()
        _work = make()
        _work()
        _start = time.perf_counter() - asked
        for _ in range(2 if seconds else 0):
            _work()
    work, started = 0, time.perf_counter()
    while not work or time.perf_counter() < started + seconds:
        work += _work()
    return work / (time.perf_counter() - started), _start


def import_torchvision() -> None:
    """Makes torchvision importable beside a torch that its C++ operators were not built for.

    The package index has torchvision for CUDA only. Beside a CPU's torch its import can fail,
    because it describes operators that could not be loaded; declaring them is enough, for
    transforms and ResNets use none.
    """
    # triton, which a torch for CUDA brings, crashes where TensorFlow was imported before it.
    sys.modules.setdefault("triton", None)
    import torch

    folder = pathlib.Path(importlib.util.find_spec("torchvision").origin).parent
    for library in folder.glob("_C*.so"):  # named _C_stable.so from torchvision 0.29 on
        with contextlib.suppress(RuntimeError, OSError):
            torch.ops.load_library(str(library))
            return
    global _declared  # the operators live as long as this does
    _declared = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        _declared.define(f"{operator}() -> ()")


def report(
    name: str,
    title: str,
    unit: str,
    found: dict[str, list[float]],
    rivals: dict[str, Rival] | None = None,
) -> None:
    """Prints ratios to the first rival, medians and ranges; writes JSON and a figure.

    Args:
        name: Of the files.
        title: What was measured.
        unit: In what.
        found: For each rival its measurements.
        rivals: Whose start and memory are shown, too.
    """
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
    columns = [title, f"ratio to {first}", f"median, {unit}", "range"]
    rows = []
    for rival, r in results.items():
        low, high = r["range"]
        row = [rival, f"{r['ratio']:.2f}", number(r["median"]), f"{number(low)} to {number(high)}"]
        rows.append(row)
    if rivals is not None:
        columns += ["first, s", "memory, MiB"]
        for row, (rival, r) in zip(rows, results.items(), strict=True):
            r |= {"start": rivals[rival].start, "memory": rivals[rival].memory}
            row += [number(r["start"]), number(r["memory"])]
    print("\n" + markdown([columns, *rows]))
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


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _installed(name: str) -> bool:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return bool(metadata.version(name))
    return False
