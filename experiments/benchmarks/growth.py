"""What grows with the number of images: ``python -m experiments.benchmarks.growth``.

Processor time and peak memory of each part of a run, each in a process of its own, with the
exponent fitted to the numbers of images and the cost at 1.28 million, ImageNet's. Files are JPEG of
several sizes in its layout, made in a temporary folder; labels and features are synthetic.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import pathlib
import resource
import shutil
import time
from collections.abc import Callable, Sequence

import numpy as np

from experiments.benchmarks import common, folders, startup
from keras_simsiam import options
from keras_simsiam.environment import processor, versions
from keras_simsiam.files import write_json
from keras_simsiam.plots import style
from keras_simsiam.tables import markdown

IMAGENET = 1_281_167
RESULTS = "results/growth"
_DIMENSIONS, _QUERIES = 512, 1000

Cost = tuple[float, float, float]
"""Seconds of processor time, seconds by the clock, and the peak of memory in MiB."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measures the chosen parts, writes a file for each cost, and draws all that was measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[*PARTS])
    parser.add_argument("--counts", nargs="+", type=int, help="numbers of images, ascending")
    args = parser.parse_args(argv)
    for part in args.parts:
        found: dict[str, dict[int, Cost]] = {}
        for count in args.counts or COUNTS[part]:
            for name, cost in PARTS[part](count).items():
                found.setdefault(name, {})[count] = cost
                print(f"{name}, {count:,}: {', '.join(map(common.number, cost))}", flush=True)
        for name, costs in found.items():
            write(name, costs)
    every = measurements()
    print(f"\n{markdown(table(every))}\n{processor()}")
    draw(every, common.HERE / "figures/benchmark_growth.png")


def write(name: str, costs: dict[int, Cost]) -> None:
    """Writes what something costs, with how its processor time grows."""
    exponent, scaled = fitted({n: cost[0] for n, cost in costs.items()})
    written = {
        "name": name,
        "costs": {str(n): cost for n, cost in costs.items()},
        "exponent": exponent,
        "seconds_at_imagenet": scaled,
        "processor": processor(),
        "versions": versions(),
    }
    file = name.replace(",", "").replace(" ", "_")
    write_json(common.HERE / RESULTS / f"{file}.json", written)


def measurements() -> dict[str, dict]:
    """What is written of each cost, by name; the largest at ImageNet's number comes first."""
    files = (common.HERE / RESULTS).glob("*.json")
    found = [json.loads(file.read_text()) for file in files]
    found.sort(key=lambda written: -written["seconds_at_imagenet"])
    return {written["name"]: written for written in found}


def table(found: dict[str, dict]) -> list[list[str]]:
    """A row for each cost: at the most images, and scaled to ImageNet's number."""
    heading = ["images", "CPU, s", "clock, s", "peak, MiB", "grows with n to the"]
    rows = [["", *heading, "CPU at 1.28 million, s"]]
    for name, written in found.items():
        most, cost = max(written["costs"].items(), key=lambda item: int(item[0]))
        row = [name, f"{int(most):,}", *map(common.number, cost), f"{written['exponent']:.2f}"]
        rows.append([*row, common.number(written["seconds_at_imagenet"])])
    return rows


def draw(found: dict[str, dict], path: pathlib.Path) -> None:
    """Draws processor time over the number of images, a line for each cost."""
    figure, axis = style.one_panel(6.4, 5.6, "What grows with the number of images")
    for (name, written), look in zip(found.items(), style.series_styles(len(found)), strict=True):
        counts = [int(n) for n in written["costs"]]
        axis.loglog(counts, [cost[0] for cost in written["costs"].values()], label=name, **look)
    axis.set_xlabel("images")
    axis.set_ylabel("processor time, s")
    axis.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    style.save(figure, path)


def fitted(seconds: dict[int, float]) -> tuple[float, float]:
    """How what is beyond the cost of the fewest images grows.

    Args:
        seconds: By number of images, ascending, three or more.

    Returns:
        The exponent of the number of images, by least squares on logarithms; and the seconds at
        ImageNet's number, by a straight line from the fewest to the most images.
    """
    (least, base), *others = seconds.items()
    more = [(np.log(n - least), np.log(max(s - base, 1e-3))) for n, s in others]
    exponent = float(np.polyfit(*zip(*more, strict=True), 1)[0]) if len(more) > 1 else float("nan")
    most, last = others[-1]
    return exponent, base + (last - base) / (most - least) * (IMAGENET - least)


def measured(work: Callable[[], object]) -> Cost:
    """What a picklable function costs in a process of its own, without starting the process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, [work])


def _measure(work: Callable[[], object]) -> Cost:
    import keras_simsiam.data
    import keras_simsiam.evaluation  # noqa: F401 (importing them is not measured)

    started, before = time.perf_counter(), time.process_time()
    work()
    taken = time.process_time() - before, time.perf_counter() - started
    return *taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- files


def files(count: int) -> dict[str, Cost]:
    """Listing and checks of the files of a folder, and reading them as for features."""
    with folders.imagenet_layout(count) as root:
        train = os.path.join(root, "train")
        found = {"listing": measured(functools.partial(_listed, train))}
        for how in ("header", "full"):
            for kept in pathlib.Path(os.environ["KERAS_SIMSIAM_CACHE"]).glob("*.npz"):
                kept.unlink()
            found[f"first {how} check"] = measured(functools.partial(_loaded, root, how))
        found["check again"] = measured(functools.partial(_loaded, root, "full"))
        found["whole images, 32 pixels"] = measured(functools.partial(_whole, train))
        found["bare decoder"] = measured(functools.partial(_decoded, train))
    return found


def _listed(train: str) -> None:
    from keras_simsiam.data import scan

    scan.images(train, scan.LeftOut())


def _loaded(root: str, how: str) -> None:
    from keras_simsiam import load

    load(f"folder:{root}", check_files=how)


def _whole(train: str) -> None:
    from keras_simsiam.data import ImageFiles, scan

    for _ in ImageFiles(scan.images(train, scan.LeftOut())).resized(32):
        pass


def _decoded(train: str) -> None:
    import tensorflow as tf

    from keras_simsiam.data import scan

    paths = scan.images(train, scan.LeftOut())

    def shape(path: tf.Tensor) -> tf.Tensor:
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), 3, dct_method="INTEGER_ACCURATE")
        return tf.shape(pixels)

    each = tf.data.Dataset.from_tensor_slices([*paths]).map(shape, tf.data.AUTOTUNE)
    for _ in each.batch(256):
        pass


def start(count: int) -> dict[str, Cost]:
    """A training until its first step, baselines included: for the first time, and again."""
    with folders.imagenet_layout(count) as root:
        return {name: first_step(root) for name in ("first start", "second start")}


def first_step(root: str) -> Cost:
    """What a narrow training costs until the progress bar shows its first step."""
    narrow = ("--width", "4", "--image-size", "32", "--batch-size", "64", "--epochs", "1")
    written = f"{root}/.written"
    taken, used = startup.first_step(written, "--dataset", f"folder:{root}", *narrow)
    shutil.rmtree(written, ignore_errors=True)
    return used.ru_utime + used.ru_stime, taken, used.ru_maxrss / 1024


# --- labels and features


def labels(count: int) -> dict[str, Cost]:
    """A tenth of each of 1,000 classes."""
    return {"part of each class": measured(functools.partial(_part, count))}


def _part(count: int) -> None:
    from keras_simsiam.evaluation.linear import part_of_each_class

    part_of_each_class(np.random.default_rng(0).integers(0, folders.CLASSES, count), 0.1, 0)


def knn(count: int) -> dict[str, Cost]:
    """The vote for 1,000 queries among features of 512 dimensions."""
    return {"kNN, 1,000 queries": measured(functools.partial(_knn, count))}


def _knn(count: int) -> None:
    from keras_simsiam.evaluation import knn_predict

    knn_predict(*_features(count), 200)


def linear(count: int) -> dict[str, Cost]:
    """An epoch of the linear probe with 1,000 classes: all rates, then the best."""
    return {"linear, one epoch": measured(functools.partial(_linear, count))}


def _linear(count: int) -> None:
    from keras_simsiam.evaluation.linear import linear_predict

    linear_predict(*_features(count), epochs=1)


def _features(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    features = random.standard_normal([count + _QUERIES, _DIMENSIONS], np.float32)
    return features[:count], np.arange(count) % folders.CLASSES, features[count:]


PARTS: dict[str, Callable[[int], dict[str, Cost]]] = {
    "files": files,
    "start": start,
    "labels": labels,
    "knn": knn,
    "linear": linear,
}
COUNTS = {
    "files": (10_000, 100_000, 400_000),
    "start": (200, 10_000, 100_000),
    "labels": (10_000, 100_000, 1_000_000),
    "knn": (10_000, 100_000, 1_000_000),
    "linear": (5_000, 10_000, 20_000),
}


if __name__ == "__main__":
    options.run_command(main)
