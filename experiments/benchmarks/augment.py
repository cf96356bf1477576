"""Views per second on one core: ``python -m experiments.benchmarks.augment``.

All rivals apply the paper's whole recipe (resized crop, flip, color jitter, grayscale, blur,
normalization) with parameters of its own for each image, from decoded images in memory to a batch
of float32 views. Needs ``pip install -e '.[bench]'``, albumentations, kornia, and for our compiled
views ``python -m keras_simsiam.native``.
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
IMAGES = 1024
"""In memory, unless they would take more than `MEMORY`. With a few dozen, drawing the order of an
epoch costs more than a view."""
MEMORY = 2**27  # bytes
SETTINGS = {
    "32": (32, 32, 32),
    "64": (64, 64, 64),
    "96": (96, 96, 96),
    "224": (224, 256, 256),
    "photographs": (224, 375, 500),
}
"""By name, the side of the views, and height and width of the images, in pixels."""


def main(argv: list[str] | None = None) -> None:
    """Measures the rivals at each size."""
    rivals = {
        "torchvision and Pillow": (pillow, {}),
        "keras-simsiam, compiled": (ours, {"KERAS_SIMSIAM_NATIVE": "1"}),
        "keras-simsiam, TensorFlow": (ours, {"KERAS_SIMSIAM_NATIVE": "0"}),
        "albumentations": (albumentations, {}),
        "albumentations, malloc keeps pages": (albumentations, common.KEEPS_PAGES),
        "kornia": (kornia, {}),
        "torchvision v2, tensors": (torchvision_v2, {}),
        "Keras layers": (keras_layers, {}),
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--rivals", nargs="+", default=list(rivals), choices=rivals)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    for name in args.sizes:
        makers = {r: functools.partial(rivals[r][0], name) for r in args.rivals}
        environments = {r: rivals[r][1] for r in args.rivals}
        with common.processes(makers, environments=environments) as running:
            found = common.paired(running, args.rounds)
        size, height, width = SETTINGS[name]
        title = f"augmentation of {width}×{height} to {size}×{size}, one core"
        common.report(f"augment_{name}", title, "views/s", found)


def images(name: str, count: int = BATCH) -> np.ndarray:
    """Photographs to make views from, uint8 ``[count, height, width, 3]``."""
    from PIL import Image

    from keras_simsiam.data import load

    patches = load("photo_patches", "train").images[:: 5400 // count][:count]
    _, height, width = SETTINGS[name]
    side = (width, height)
    return np.stack([Image.fromarray(p).resize(side, Image.Resampling.BICUBIC) for p in patches])


def ours(name: str) -> Callable[[], int]:
    """The pipeline that training uses; drawing the parameters included."""
    import tensorflow as tf

    from keras_simsiam import Augmentation, views

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    size, height, width = SETTINGS[name]
    photos = images(name, min(IMAGES, MEMORY // (3 * height * width)))
    batches = iter(views(photos, Augmentation(), BATCH, image_size=size))
    return lambda: sum(map(len, next(batches)))


def albumentations(name: str) -> Callable[[], int]:
    """The same by albumentations and OpenCV, one image at a time."""
    view = albumentations_transform(SETTINGS[name][0])
    photos = images(name)
    return lambda: len(np.stack([view(photo) for photo in photos]))


def albumentations_transform(size: int, interpolation: str = "linear") -> Callable:
    """The recipe in albumentations, from uint8 ``[H, W, 3]`` to float32 ``[size, size, 3]``.

    Args:
        size: Side of the view in pixels.
        interpolation: How crops are resized: "linear", without antialiasing, or "area", which
            averages where a crop is made smaller.
    """
    import albumentations as a
    import cv2

    cv2.setNumThreads(0)
    area = {"area_for_downscale": "image"} if interpolation == "area" else {}
    view = a.Compose(
        [
            a.RandomResizedCrop((size, size), scale=(0.2, 1.0), **area),
            a.HorizontalFlip(p=0.5),
            a.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.6, 1.4), (-0.1, 0.1), p=0.8),
            a.ToGray(p=0.2),
            a.GaussianBlur(blur_limit=0, sigma_limit=(0.1, 2.0), p=0.5),
            a.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    return lambda image: view(image=image)["image"]


def pillow(name: str) -> Callable[[], int]:
    """The authors' transforms, on Pillow images."""
    common.import_torchvision()
    import torch
    from PIL import Image

    torch.set_num_threads(1)
    view = pillow_transform(SETTINGS[name][0])
    photos = [Image.fromarray(image) for image in images(name)]
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


def kornia(name: str) -> Callable[[], int]:
    """Kornia's layers, on whole batches of float tensors."""
    import torch
    from kornia import augmentation as k

    torch.set_num_threads(1)
    view = torch.nn.Sequential(
        k.RandomResizedCrop(2 * SETTINGS[name][:1], scale=(0.2, 1.0)),
        k.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        k.RandomGrayscale(p=0.2),
        k.RandomGaussianBlur((13, 13), (0.1, 2.0), p=0.5),
        k.RandomHorizontalFlip(),
        k.Normalize(IMAGENET_MEAN, IMAGENET_STD),
    )
    photos = torch.from_numpy(images(name)).permute(0, 3, 1, 2).contiguous()
    return lambda: len(view(photos.float() / 255))


def torchvision_v2(name: str) -> Callable[[], int]:
    """The same on uint8 tensors, one at a time because a batch would share its parameters."""
    common.import_torchvision()
    import torch
    from torchvision.transforms import v2 as t

    torch.set_num_threads(1)
    view = t.Compose(
        [
            t.RandomResizedCrop(SETTINGS[name][0], scale=(0.2, 1.0), antialias=True),
            t.RandomApply([t.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            t.RandomGrayscale(p=0.2),
            t.RandomApply([t.GaussianBlur(13, (0.1, 2.0))], p=0.5),
            t.RandomHorizontalFlip(),
            t.ToDtype(torch.float32, scale=True),
            t.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    photos = list(torch.from_numpy(images(name)).permute(0, 3, 1, 2).contiguous())
    return lambda: len(torch.stack([view(photo) for photo in photos]))


def keras_layers(name: str) -> Callable[[], int]:
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
        keras.layers.Resizing(*2 * SETTINGS[name][:1]),
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

    photos = tf.data.Dataset.from_tensors(images(name).astype(np.float32)).repeat()
    batches = iter(photos.map(view))
    return lambda: len(next(batches))


if __name__ == "__main__":
    options.run_command(main)
