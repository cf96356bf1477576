"""Shared by the benchmarks: measuring rivals in turn, and reporting medians and ranges."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import importlib.util
import math
import multiprocessing
import os
import pathlib
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from keras_simsiam import plots
from keras_simsiam.environment import processor, versions
from keras_simsiam.files import write_json
from keras_simsiam.tables import markdown

HERE = pathlib.Path(__file__).parents[1]
PACKAGES = (
    *("torch", "torchvision", "lightly", "albumentations", "opencv-python-headless", "kornia"),
    *("pillow", "faiss-cpu", "scikit-learn"),
)
"""Named with their versions in results, beside this package's own stack."""
KEEPS_PAGES = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**31),
    "MALLOC_TOP_PAD_": str(2**26),
}
"""Environment variables that let glibc's malloc keep freed memory, where it would otherwise return
that of each image to the system; OpenCV is up to twice as fast with them."""
OURS = "keras-simsiam"
"""What this package is called among its rivals."""


def paired(rivals: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measures every rival once a round, so that a slow minute affects all of them.

    Args:
        rivals: Functions that return one measurement, by name.
        rounds: Measurements of each.

    Returns:
        The measurements by name, in order.
    """
    found = {name: [] for name in rivals}
    for turn in range(1, rounds + 1):
        for name, measure in rivals.items():
            found[name].append(measure())
            print(f"round {turn} of {rounds}: {name} {number(found[name][-1])}", flush=True)
    return found


class Rival:
    """A process group of its own that is stopped except while it is measured.

    Stopped, it can neither work ahead nor take cores from the others. Calling it measures once
    and returns units of work per second.

    Args:
        pool: A pool of one process, not started.
        make: As for `processes`.
        cores: Cores it may use.
        seconds: Duration of a measurement, at least.
        environment: Environment variables to start it with.

    Attributes:
        start: Seconds until the first unit of work is done, imports included.
        memory: MiB resident after the last measurement, over all processes of the group; pages
            that they share count once.
    """

    def __init__(
        self,
        pool,
        make: Callable,
        cores: int,
        seconds: float,
        environment: Mapping[str, str],
    ):
        self._pool, self._make, self._seconds = pool, make, seconds
        self.start = self.memory = math.nan
        with _started(cores, environment):
            self.group = pool.submit(_lead).result()  # the process starts here, on these cores
        os.killpg(self.group, signal.SIGSTOP)

    def __call__(self) -> float:
        """Measures units of work per second."""
        os.killpg(self.group, signal.SIGCONT)
        try:
            rate, self.start = self._pool.submit(_measure, self._make, self._seconds).result()
            self.memory = _resident(self.group)
            return rate
        finally:
            os.killpg(self.group, signal.SIGSTOP)


@contextlib.contextmanager
def processes(
    makers: dict[str, Callable[[], Callable[[], int]]],
    cores: int = 1,
    seconds: float = 2.0,
    environments: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[dict[str, Rival]]:
    """Runs rivals in processes of their own that take turns on the same cores.

    Args:
        makers: Picklable functions by name. Each is called once in its process and returns the
            function to measure, which does some work and returns how many units it did.
        cores: Cores each may use.
        seconds: Duration of a measurement, at least; 0 to call the function once.
        environments: Environment variables by name of those rivals that need any.

    Yields:
        The rivals by name.
    """
    with contextlib.ExitStack() as stack:
        rivals = {}
        for name, make in makers.items():
            pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            stack.enter_context(pool)
            environment = (environments or {}).get(name, {})
            rivals[name] = Rival(pool, make, cores, seconds, environment)
            stack.callback(os.killpg, rivals[name].group, signal.SIGCONT)
        yield rivals


def _lead() -> int:
    """Makes this process the leader of a new group, which its workers will belong to."""
    os.setsid()
    return os.getpid()


def _resident(group: int) -> float:
    """MiB resident in the processes of a group."""
    found = 0
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getpgid(int(process.name)) == group:
                lines = (process / "smaps_rollup").read_text().splitlines()
                found += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return found / 1024


@contextlib.contextmanager
def _started(cores: int, environment: Mapping[str, str]) -> Iterator[None]:
    """Starts processes on some cores, with these environment variables, TensorFlow silent."""
    before, all_cores = os.environ.copy(), os.sched_getaffinity(0)
    os.environ.update(environment, TF_CPP_MIN_LOG_LEVEL="3")
    os.sched_setaffinity(0, sorted(all_cores)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)
        os.environ.clear()
        os.environ.update(before)


_work: Callable[[], int] | None = None
_start = math.nan


def _measure(make: Callable, seconds: float) -> tuple[float, float]:
    """Units of work per second, and how long the first took; runs in the rival's process."""
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


@functools.cache  # operators can be declared once only
def import_torchvision() -> None:
    """Makes torchvision importable next to a torch that its C++ operators were not built for.

    PyPI has torchvision for CUDA only. With a CPU build of torch its import can fail because it
    registers operators that could not be loaded. Declaring them is enough: transforms and ResNets
    do not use them.
    """
    # triton, which comes with torch for CUDA, crashes if TensorFlow was imported before.
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
    """Prints ratios to the first rival, medians and ranges; writes them as JSON and a figure.

    Args:
        name: Of the files.
        title: What was measured.
        unit: Of the measurements.
        found: Measurements by rival, one a round.
        rivals: If given, their start and memory are reported as well.
    """
    first = next(iter(found))
    results = {
        rival: {
            "ratio": ratio(values, found[first])[0],
            "median": statistics.median(values),
            "range": [min(values), max(values)],
            "rounds": values,
        }
        for rival, values in found.items()
    }
    for rival, measured in (rivals or {}).items():
        results[rival] |= {"start": measured.start, "memory": measured.memory}
    written = {"title": title, "unit": unit, "results": results, "processor": processor()}
    written["versions"] = {"python": platform.python_version(), **versions(*PACKAGES)}
    print(f"\n{markdown(table(written))}")
    packages = ", ".join(f"{package} {version}" for package, version in written["versions"].items())
    print(f"{processor()}; {packages}")
    write_json(HERE / "results/benchmarks" / f"{name}.json", written)
    plots.measured(found, HERE / "figures" / f"benchmark_{name}.png", title, unit)


def ratio(values: Sequence[float], reference: Sequence[float]) -> tuple[float, float, float]:
    """The ratio of two medians, and the lowest and highest ratio of the same round."""
    each = [value / other for value, other in zip(values, reference, strict=True)]
    return statistics.median(values) / statistics.median(reference), min(each), max(each)


def table(written: dict) -> list[list[str]]:
    """The table of a benchmark, given what `report` writes."""
    results, unit = written["results"], written["unit"]
    first = next(iter(results))
    with_start = "start" in results[first]
    rows = [[written["title"], f"ratio to {first}", "its range", f"median, {unit}", "range"]]
    rows[0] += ["first, s", "memory, MiB"] if with_start else []
    for rival, r in results.items():
        # Results of earlier versions have no rounds.
        ratios = ratio(r["rounds"], results[first]["rounds"])[1:] if "rounds" in r else ()
        row = [rival, f"{r['ratio']:.2f}", _range(ratios, lambda value: f"{value:.2f}")]
        row += [number(r["median"]), _range(r["range"], number)]
        rows.append(row + ([number(r["start"]), number(r["memory"])] if with_start else []))
    return rows


def _range(values: Sequence[float], form: Callable[[float], str]) -> str:
    return " to ".join(map(form, values))


def number(value: float) -> str:
    """A value with three significant digits, or with all digits before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
