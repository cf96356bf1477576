"""Images per second as dataset and batch grow: ``python -m experiments.benchmarks.scale``.

Compares the package with itself: ratios of 1 mean that the cost of an image does not depend on the
size. The memory in use is reported as well.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Callable

import numpy as np

from experiments.benchmarks import augment, common, train
from keras_simsiam import options

TIMES = (1, 2, 4, 8, 16)
BATCHES = (16, 64, 256, 1024)
BATCH = 64


def main(argv: list[str] | None = None) -> None:
    """Measures the input by size of dataset and batch, then training by size of batch."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args(argv)
    by_dataset = {f"{5400 * n:,} images": functools.partial(input_of, n, BATCH) for n in TIMES}
    by_batch = {f"batch {b:,}": functools.partial(input_of, 1, b) for b in BATCHES}
    narrow = {f"batch {b:,}": functools.partial(training_of, "narrow", b) for b in BATCHES}
    standard = {f"batch {b:,}": functools.partial(training_of, "standard", b) for b in BATCHES[:3]}
    for name, title, makers in (
        ("dataset", f"input, 32×32, batch {BATCH}", by_dataset),
        ("batch", "input, 32×32, 5,400 images", by_batch),
        ("narrow", "training, ResNet-18 width 16, 32×32", narrow),
        ("standard", "training, ResNet-18 width 64, 64×64", standard),
    ):
        with common.processes(makers, os.cpu_count(), args.seconds) as rivals:
            found = common.paired(rivals, args.rounds)
            common.report(f"scale_{name}", title, "images/s", found, rivals)


def input_of(times: int, batch_size: int) -> Callable[[], int]:
    """Batches of views of photo_patches, repeated so many times in memory."""
    import keras_simsiam as ks
    from keras_simsiam.data import load

    photos = np.tile(load("photo_patches", "train").images, (times, 1, 1, 1))
    batches = iter(ks.views(photos, ks.Augmentation(), batch_size))
    return lambda: len(next(batches)[0])


def training_of(setting: str, batch_size: int) -> Callable[[], int]:
    """Training steps from images in memory."""
    depth, width, size = train.SETTINGS[setting]
    images = functools.partial(augment.images, str(size), 4096)
    return train.ours(False, images, depth, width, size, batch_size)


if __name__ == "__main__":
    options.run_command(main)
