"""Folders of small JPEG files in ImageNet's layout, for benchmarks."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import numpy as np

from keras_simsiam.native import build

CLASSES = 1000
SIDES = ((64, 96), (96, 64), (72, 96), (80, 80), (64, 80))
_VALIDATION = 200


@contextlib.contextmanager
def imagenet_layout(count: int) -> Iterator[str]:
    """A folder of `count` training images and 200 to validate on; its cache is empty."""
    with tempfile.TemporaryDirectory() as root:
        classes = max(2, min(CLASSES, count // 100))
        for split, number in (("train", count), ("val", _VALIDATION)):
            write(pathlib.Path(root, split), number, classes)
        cache = pathlib.Path(root, ".cache")
        cache.mkdir()
        for library in build.libraries():  # the compiled operations, which are in the cache
            for file in (library, build.record(library)):
                shutil.copy(file, cache)
        before = os.environ.get("KERAS_SIMSIAM_CACHE")
        os.environ["KERAS_SIMSIAM_CACHE"] = str(cache)
        try:
            yield root
        finally:
            del os.environ["KERAS_SIMSIAM_CACHE"]
            if before is not None:
                os.environ["KERAS_SIMSIAM_CACHE"] = before


def write(split: pathlib.Path, count: int, classes: int) -> None:
    """Writes JPEG files of about 2.8 kB."""
    contents = jpegs()
    for i in range(count):
        within = split / f"n{i * classes // count:08}"
        if i * classes // count != (i - 1) * classes // count or not i:
            within.mkdir(parents=True)
        (within / f"{within.name}_{i}.JPEG").write_bytes(contents[i % len(contents)])


@functools.cache
def jpegs() -> list[bytes]:
    """Smooth random pictures of a few sizes."""
    from PIL import Image

    made = []
    for i in range(500):
        height, width = SIDES[i % len(SIDES)]
        random = np.random.default_rng(i).integers(0, 256, [12, 12, 3], np.uint8)
        image = Image.fromarray(random).resize((width, height), Image.Resampling.BICUBIC)
        noise = np.random.default_rng(i).normal(0, 6, [height, width, 3])
        pixels = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=85)
        made.append(file.getvalue())
    return made
