"""Images per second of the input: ``python -m experiments.benchmarks.pipeline --data-dir …``.

Shuffled batches with two views of each image, from Tiny ImageNet's JPEG files and from decoded
images in memory, on one core and on all. The rival is PyTorch's DataLoader with the authors'
transforms and one worker per core. Also measures the share of the training time that is spent
waiting for batches. Needs ``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
import tempfile
import time
from collections.abc import Callable

from experiments.benchmarks import augment, common, train
from keras_simsiam import options

BATCH = 64
WARM_UP = 10
"""Steps before timing: for tracing, and until tf.data has tuned itself."""


def main(argv: list[str] | None = None) -> None:
    """Measures the input alone, then while training."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", required=True, help="Tiny ImageNet's zip or folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        files = _extract(args.data_dir, pathlib.Path(folder))
        makers = {
            "PyTorch, JPEG files": functools.partial(dataloader, files),
            "keras-simsiam, JPEG files": functools.partial(ours_from_files, files),
            "keras-simsiam, decoded": functools.partial(ours_decoded, args.data_dir),
        }
        for cores in (1, os.cpu_count()):
            with common.processes(makers, cores, args.seconds) as rivals:
                found = common.paired(rivals, args.rounds)
                title = f"input, 64×64, batch {BATCH}, {_count(cores)}"
                common.report(f"pipeline_{cores}", title, "images/s", found, rivals)
    settings = {f"width {w}, {size}×{size}": (w, size) for w, size in train.SETTINGS.values()}
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


def _extract(data_dir: str, folder: pathlib.Path) -> list[str]:
    """Writes the training images as files; returns their paths."""
    from keras_simsiam.data.tiny_imagenet import Archive

    files = []
    for name, _, file in Archive(data_dir).examples("train"):
        files.append(str(folder / name))
        pathlib.Path(files[-1]).write_bytes(file.read_bytes())
    return files


def ours_from_files(files: list[str]) -> Callable[[], int]:
    """Images read and decoded when needed."""
    from keras_simsiam.data import ImageFiles

    return _ours(ImageFiles(files))


def ours_decoded(data_dir: str) -> Callable[[], int]:
    """Images decoded in advance, as `load` does if all have the same size."""
    from keras_simsiam.data import load

    return _ours(load("tiny_imagenet", "train", data_dir).images)


def _ours(images) -> Callable[[], int]:
    """The batches that training gets."""
    import keras_simsiam as ks

    batches = iter(ks.views(images, ks.Augmentation(), BATCH, image_size=64))
    return lambda: len(next(batches)[0])


def dataloader(files: list[str]) -> Callable[[], int]:
    """The authors' input: Pillow opens each file, which is transformed twice."""
    common.import_torchvision()
    from torchvision.datasets.folder import default_loader

    batches = train.endless(files, augment.pillow_transform(64), BATCH, default_loader)
    return lambda: len(next(batches)[0])


def training(width: int, size: int, real: bool) -> Callable[[], int]:
    """Training steps on real batches, or all on the same batch."""
    return train.steps_of(*_model_and_batches(width, size, real), BATCH)


def _model_and_batches(width: int, size: int, real: bool) -> tuple:
    import tensorflow as tf

    model, pairs = train.model_and_pairs(width, size, BATCH)
    if not real:
        pairs = tf.data.Dataset.from_tensors(next(iter(pairs))).repeat().prefetch(2)
    return model, pairs


def waiting(width: int, size: int, real: bool, steps: int = 200) -> float:
    """The share of the training time spent waiting for batches.

    Part of it is the overhead of fetching a batch from Python, which `fit` does not do; it is what
    remains with ``real=False``.
    """
    import tensorflow as tf

    model, pairs = _model_and_batches(width, size, real)
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
