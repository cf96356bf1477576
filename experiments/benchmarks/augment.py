"""Views per second on one core: ``python -m experiments.benchmarks.augment``.

All rivals apply the paper's whole recipe (resized crop, flip, color jitter, grayscale, blur,
normalization) with parameters of its own for each image, from decoded images in memory to a batch
of float32 views. Needs ``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import functools
import random
from collections.abc import Callable

import numpy as np

from experiments.benchmarks import common
from keras_simsiam import options
from keras_simsiam.augmentation import IMAGENET_MEAN, IMAGENET_STD

BATCH = 64
SOURCES = {32: 32, 64: 64, 96: 96, 224: 256}
"""Side of the views to side of the images, in pixels."""


def main(argv: list[str] | None = None) -> None:
    """Measures the rivals at each size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SOURCES), choices=SOURCES)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    makers = {
        "torchvision and Pillow": pillow,
        "keras-simsiam": ours,
        "torchvision v2, tensors": torchvision_v2,
        "Keras layers": keras_layers,
    }
    for size in args.sizes:
        sized = {name: functools.partial(make, size) for name, make in makers.items()}
        with common.processes(sized) as rivals:
            found = common.paired(rivals, args.rounds)
        title = f"augmentation to {size}×{size}, one core"
        common.report(f"augment_{size}", title, "views/s", found)


def images(size: int, count: int = BATCH) -> np.ndarray:
    """Photographs to make views from, uint8 ``[count, side, side, 3]``."""
    from PIL import Image

    from keras_simsiam.data import load

    patches = load("photo_patches", "train").images[:: 5400 // count][:count]
    side = (SOURCES[size], SOURCES[size])
    return np.stack([Image.fromarray(p).resize(side, Image.Resampling.BICUBIC) for p in patches])


def ours(size: int) -> Callable[[], int]:
    """The pipeline that training uses; drawing the parameters included."""
    import tensorflow as tf

    from keras_simsiam import Augmentation, views

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    batches = iter(views(images(size), Augmentation(), BATCH, image_size=size))
    return lambda: sum(map(len, next(batches)))


def pillow(size: int) -> Callable[[], int]:
    """The authors' transforms, on Pillow images."""
    common.import_torchvision()
    import torch
    from PIL import Image

    torch.set_num_threads(1)
    view = pillow_transform(size)
    photos = [Image.fromarray(image) for image in images(size)]
    return lambda: len(torch.stack([view(photo) for photo in photos]))


def pillow_transform(size: int) -> Callable:
    """The transform from a Pillow image to a view in the authors' repository."""
    from torchvision import transforms as t

    return t.Compose(
        [
            t.RandomResizedCrop(size, scale=(0.2, 1.0)),
            t.RandomApply([t.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            t.RandomGrayscale(p=0.2),
            t.RandomApply([_blur], p=0.5),
            t.RandomHorizontalFlip(),
            t.ToTensor(),
            t.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )


def _blur(image):
    from PIL import ImageFilter

    return image.filter(ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))


def torchvision_v2(size: int) -> Callable[[], int]:
    """The same on uint8 tensors, one at a time because a batch would share its parameters."""
    common.import_torchvision()
    import torch
    from torchvision.transforms import v2 as t

    torch.set_num_threads(1)
    view = t.Compose(
        [
            t.RandomResizedCrop(size, scale=(0.2, 1.0), antialias=True),
            t.RandomApply([t.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            t.RandomGrayscale(p=0.2),
            t.RandomApply([t.GaussianBlur(13, (0.1, 2.0))], p=0.5),
            t.RandomHorizontalFlip(),
            t.ToDtype(torch.float32, scale=True),
            t.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    photos = list(torch.from_numpy(images(size)).permute(0, 3, 1, 2).contiguous())
    return lambda: len(torch.stack([view(photo) for photo in photos]))


def keras_layers(size: int) -> Callable[[], int]:
    """The closest recipe of Keras's own layers, on whole batches in tf.data.

    Keras has no crop of random area and aspect ratio; a random zoom takes its place.
    """
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    pixels = {"value_range": (0, 255)}
    layers = [
        keras.layers.RandomZoom((-0.55, 0.0)),
        keras.layers.Resizing(size, size),
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomColorJitter(
            brightness_factor=0.4,
            contrast_factor=0.4,
            saturation_factor=(0.3, 0.7),
            hue_factor=0.1,
            **pixels,
        ),
        keras.layers.RandomGrayscale(0.2),
        keras.layers.RandomGaussianBlur(0.5, 13, (0.1, 2.0), **pixels),
        keras.layers.Normalization(
            mean=[255 * m for m in IMAGENET_MEAN], variance=[(255 * s) ** 2 for s in IMAGENET_STD]
        ),
    ]

    def view(batch: tf.Tensor) -> tf.Tensor:
        for layer in layers:
            batch = layer(batch)
        return batch

    photos = tf.data.Dataset.from_tensors(images(size).astype(np.float32)).repeat()
    batches = iter(photos.map(view))
    return lambda: len(next(batches))


if __name__ == "__main__":
    options.run_command(main)
