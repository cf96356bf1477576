"""Images per second of the input: ``python -m experiments.benchmarks.pipeline``.

Shuffled batches with two views of each image, on one core and on all:

- ``small``: JPEG files of 64×64, Tiny ImageNet's with ``--data-dir``, to 64 pixels;
- ``photographs``: JPEG files of 500×375 to 224 pixels.

The rivals are PyTorch's DataLoader with one worker per core and the authors' transforms, or
albumentations with OpenCV, whose crops are linear (as by default) or averaged (area). Also measures
the share of the training time that is spent waiting for batches (``waiting``). Needs
``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
import time
from collections.abc import Callable

from experiments.benchmarks import augment, common, jpeg, pytorch, train
from keras_simsiam import options

BATCH = 64
WARM_UP = 10
"""Steps before timing: for tracing, and until tf.data has tuned itself."""


PARTS = ("small", "photographs", "waiting")


def main(argv: list[str] | None = None) -> None:
    """Measures the input alone, then while training."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--data-dir", help="Tiny ImageNet's zip or folder")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, os.cpu_count()])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        if "small" in args.parts:
            _files("pipeline", jpeg.small(folder, args.data_dir), 64, args)
        if "photographs" in args.parts:
            _files("pipeline_photographs", jpeg.photographs(folder), 224, args)
    if "waiting" in args.parts:
        _waiting(args)


def _files(name: str, files: list[str], size: int, args: argparse.Namespace) -> None:
    """Measures the input from files on each number of cores."""
    width, height = jpeg.SMALL if size == 64 else jpeg.LARGE
    makers = {
        common.OURS: functools.partial(ours_from_files, files, size),
        "PyTorch, torchvision and Pillow": functools.partial(dataloader, files, size),
    }
    kept = {}
    for interpolation in ("linear", "area"):
        maker = functools.partial(albumentations, files, size, interpolation)
        makers[f"PyTorch, albumentations, {interpolation}"] = maker
        makers[f"PyTorch, albumentations, {interpolation}, malloc keeping pages"] = maker
        kept[list(makers)[-1]] = common.KEEPS_PAGES
    if size == 64:  # all of one size: `load` would decode them
        makers[f"{common.OURS}, decoded"] = functools.partial(ours_decoded, files, size)
    for cores in args.cores:
        with common.processes(makers, cores, args.seconds, kept) as rivals:
            found = common.paired(rivals, args.rounds)
            title = f"input, JPEG of {width}×{height} to {size}×{size}, batch {BATCH}"
            title += f", {_count(cores)}"
            common.report(f"{name}_{cores}", title, "images/s", found, rivals)


def _waiting(args: argparse.Namespace) -> None:
    """Measures training with its input, and with batches that are ready."""
    settings = {
        f"width {width}, {size}×{size}": (depth, width, size)
        for depth, width, size in (train.SETTINGS["narrow"], train.SETTINGS["standard"])
    }
    makers = {
        f"{name}, {'its input' if real else 'one batch'}": functools.partial(training, *at, real)
        for name, at in settings.items()
        for real in (True, False)
    }
    with common.processes(makers, os.cpu_count(), args.seconds) as rivals:
        found = common.paired(rivals, args.rounds)
        title = f"training, ResNet-18, batch {BATCH}, {_count(os.cpu_count())}"
        common.report("pipeline_training", title, "images/s", found, rivals)
    for name, at in settings.items():
        real, ready = (waiting(*at, real) for real in (True, False))
        print(f"{name}: waiting takes {real:.2%} of the time, {ready:.2%} if batches are ready")


def _count(cores: int) -> str:
    return "one core" if cores == 1 else f"{cores} cores"


def ours_from_files(files: list[str], size: int) -> Callable[[], int]:
    """Images read and decoded when needed."""
    from keras_simsiam.data import ImageFiles

    return _ours(ImageFiles(files), size)


def ours_decoded(files: list[str], size: int) -> Callable[[], int]:
    """Images decoded in advance, as `load` does if all have the same size."""
    import numpy as np

    return _ours(np.stack([pytorch.open_with_pillow(file) for file in files]), size)


def _ours(images, size: int) -> Callable[[], int]:
    """The batches that training gets."""
    import keras_simsiam as ks

    batches = iter(ks.views(images, ks.Augmentation(), BATCH, image_size=size))
    return lambda: len(next(batches)[0])


def dataloader(files: list[str], size: int) -> Callable[[], int]:
    """The authors' input: Pillow opens each file, which is transformed twice."""
    batches = pytorch.with_pillow(files, size, BATCH)
    return lambda: len(next(batches)[0])


def albumentations(files: list[str], size: int, interpolation: str) -> Callable[[], int]:
    """OpenCV opens each file, and albumentations transforms it twice."""
    batches = pytorch.with_albumentations(files, size, BATCH, interpolation)
    return lambda: len(next(batches)[0])


def training(depth: int, width: int, size: int, real: bool) -> Callable[[], int]:
    """Training steps on real batches, or all on the same batch."""
    return train.steps_of(*_model_and_batches(depth, width, size, real), BATCH)


def _model_and_batches(depth: int, width: int, size: int, real: bool) -> tuple:
    images = functools.partial(augment.images, str(size), 4096)
    model, pairs = train.model_and_pairs(images, depth, width, size, BATCH)
    return model, pairs if real else train.first_of(pairs)


def waiting(depth: int, width: int, size: int, real: bool, steps: int = 200) -> float:
    """The share of the training time spent waiting for batches.

    Part of it is the overhead of fetching a batch from Python, which `fit` does not do; it is what
    remains with ``real=False``.
    """
    import tensorflow as tf

    model, pairs = _model_and_batches(depth, width, size, real)
    step = tf.function(model.train_step, reduce_retracing=True)
    batches = iter(pairs)
    for _ in range(WARM_UP):
        step(next(batches))["loss"].numpy()
    waited, started = 0.0, time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        step(batch)["loss"].numpy()
    return waited / (time.perf_counter() - started)


if __name__ == "__main__":
    options.run_command(main)
