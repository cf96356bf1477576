"""JPEG files for the benchmarks: Tiny ImageNet's, or made from scikit-image's photographs."""

from __future__ import annotations

import pathlib

import numpy as np
from PIL import Image

SMALL, LARGE = (64, 64), (500, 375)  # width and height in pixels
COUNT = 2048


def small(folder: str, data_dir: str | None) -> list[str]:
    """Files of 64×64: Tiny ImageNet's training images, or 2,048 photographs.

    Args:
        folder: Where to write the files.
        data_dir: Tiny ImageNet's zip or folder; None for photographs.
    """
    if data_dir is None:
        return photographs(folder, SMALL)
    from keras_simsiam.data.tiny_imagenet import Archive

    files = []
    for name, _, opener in Archive(data_dir).examples("train"):
        files.append(str(pathlib.Path(folder) / name))
        with opener() as file:
            pathlib.Path(files[-1]).write_bytes(file.read())
    return files


def photographs(folder: str, size: tuple[int, int] = LARGE) -> list[str]:
    """Files of that width and height, of random parts of scikit-image's photographs.

    Written at quality 90, like photographs on the web.
    """
    from keras_simsiam.data.photo_patches import PHOTOS

    random = np.random.RandomState(0)
    photos = [Image.fromarray(photo()).convert("RGB") for photo in PHOTOS.values()]
    files = []
    for i in range(COUNT):
        photo = photos[i % len(photos)]
        # The largest part of the wanted shape, times 0.5 to 1.
        scale = random.uniform(0.5, 1.0) * min(photo.width / size[0], photo.height / size[1])
        width, height = scale * size[0], scale * size[1]
        left = random.uniform(0, photo.width - width)
        top = random.uniform(0, photo.height - height)
        part = (left, top, left + width, top + height)
        files.append(f"{folder}/{size[0]}_{i}.jpg")
        photo.resize(size, Image.Resampling.BICUBIC, box=part).save(files[-1], quality=90)
    return files
