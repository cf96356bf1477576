"""Encoders by name: whatever can make features of images, and what to compare it with."""

from __future__ import annotations

import os
import pathlib

import keras
import numpy as np
import tensorflow as tf

from keras_simsiam import documents
from keras_simsiam.backbone_rules import IMAGENET
from keras_simsiam.errors import InputError, shown
from keras_simsiam.evaluation import Encoder, preprocessing_of
from keras_simsiam.evaluation.encoder import raw_pixels_of
from keras_simsiam.export import load_encoder
from keras_simsiam.fields import Count, checks_arguments
from keras_simsiam.models import backbones
from keras_simsiam.models.base import network_of
from keras_simsiam.models.parts import renewed
from keras_simsiam.models.resnet import resnet18
from keras_simsiam.preprocessing import Preprocessing

_APPLICATION, _SIDE = "keras:", 224


@checks_arguments
def find_encoder(
    name: str | os.PathLike, image_size: Count | None = None, channels: Count = 3
) -> Encoder:
    """The encoder of a name.

    Args:
        name: A SavedModel of `export_encoder`; the folder of a run; a ``.keras`` file, of a method
            or of any model from images to vectors; "keras:NAME" for a model of
            `keras.applications` with ImageNet's weights, and "keras:NAME:FILE" with those of a
            file; "random" for a narrow ResNet-18 with random weights; or "pixels". The last two
            are baselines.
        image_size: Side in pixels at which the network sees the images; only for networks that do
            not say it themselves. 224 for models of `keras.applications`.
        channels: Channels of the images of a baseline; others have their own.

    Raises:
        InputError: If there is no such encoder, or it does not take images and return vectors.
    """
    text = os.fspath(name)
    if text == "pixels":
        pixels = raw_pixels_of(channels)
        if image_size is not None:
            raise InputError(f"image_size of pixels is {pixels.image_size}; got {image_size}")
        return pixels
    path = pathlib.Path(text)
    if _is_run(path):
        path = _exported(path) or _checkpoint(path)
    if text == "random" or text.startswith(_APPLICATION) or path.suffix == ".keras":
        return Encoder.of(*_model(text, path, image_size, channels))
    if image_size is not None:
        raise InputError(f"image_size cannot be changed in a SavedModel; got {image_size}")
    return load_encoder(path)


@checks_arguments
def find_model(
    name: str | os.PathLike, image_size: Count | None = None, channels: Count = 3
) -> tuple[keras.Model, Preprocessing]:
    """The Keras model of a name, whose weights can be trained on, and its preprocessing.

    Args:
        name: See `find_encoder`, without "pixels". Of a run, it is the newest checkpoint; of a
            SavedModel, which TensorFlow can only run, that of the run in ``runs/`` beside its
            folder that has its name.
        image_size: See `find_encoder`.
        channels: See `find_encoder`.

    Raises:
        InputError: If there is no such model.
    """
    text = os.fspath(name)
    path = pathlib.Path(text)
    if (path / "saved_model.pb").is_file():
        run = path.absolute().parents[1] / "runs" / path.name
        if not _is_run(run):
            raise InputError(
                f"'{path}' is a SavedModel, whose weights cannot be trained, and there is no run "
                f"'{run}'; give the folder of its run or a .keras file"
            )
        path = run
    if _is_run(path):
        path = _checkpoint(path)
    if text == "pixels" or not (
        text == "random" or text.startswith(_APPLICATION) or path.suffix == ".keras"
    ):
        raise InputError(
            f"model must be the folder of a run or a SavedModel, a .keras file, or keras:NAME of "
            f"keras.applications; got '{text}'"
        )
    return _model(text, path, image_size, channels)


def with_random_weights(network: keras.Model, seed: int) -> keras.Model:
    """A network of the same layers with random weights, which depend on the seed only."""
    keras.utils.set_random_seed(seed)
    return renewed(network)


def probe(encoder: Encoder) -> np.ndarray:
    """Features of one fixed image, float32 ``[D]``; another model gives others."""
    size = encoder.image_size
    shape = (8, 8, encoder.preprocessing.channels)
    random = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    image = tf.image.resize(random.astype(np.float32), [size, size], "bicubic")
    images = tf.cast(tf.clip_by_value(image, 0, 255), tf.uint8)[None]
    features = np.asarray(encoder(images))
    if not np.isfinite(features).all():
        raise InputError("the encoder's features must be finite; those of a random image are not")
    return features[0]


def _model(
    name: str, path: pathlib.Path, image_size: int | None, channels: int
) -> tuple[keras.Model, Preprocessing]:
    """A model and its preprocessing."""
    if name == "random":
        return _random(channels), Preprocessing.assumed(image_size or 64, channels)
    if name.startswith(_APPLICATION):
        return _application(name, image_size or _SIDE)
    model = _of_file(path)
    return model, preprocessing_of(model, image_size)


def _random(channels: int) -> keras.Model:
    network, random = resnet18(width=16, channels=channels), np.random.default_rng(0)
    for kernel in network.trainable_variables:
        if len(kernel.shape) == 4:  # He-normal by fan-out, whatever Keras's own seed is
            height, width, _, filters = kernel.shape
            std = np.sqrt(2 / (height * width * filters))
            kernel.assign(random.normal(0, std, kernel.shape))
    return network


def _application(name: str, image_size: int) -> tuple[keras.Model, Preprocessing]:
    """A model of keras.applications with its own preprocessing, without its classifier."""
    model_name, _, weights = name.removeprefix(_APPLICATION).partition(":")
    mean, std = backbones.normalization_of(model_name)
    network = backbones.application(model_name, image_size, weights or IMAGENET)
    return network, Preprocessing(image_size, mean, std)


def _is_run(path: pathlib.Path) -> bool:
    return (path / "config.yaml").is_file()


def _exported(run: pathlib.Path) -> pathlib.Path | None:
    """The SavedModel of a run that has ended."""
    if (run / "summary.json").is_file():
        exported = pathlib.Path(str(documents.read_json(run / "summary.json")["saved_model"]))
        for path in (exported, run.parents[1] / exported):
            if path.is_dir():
                return path
    return None


def _checkpoint(run: pathlib.Path) -> pathlib.Path:
    """The newest checkpoint of a run."""
    checkpoints = sorted(run.glob("checkpoints/step-*.keras"))
    if not checkpoints:
        raise InputError(f"run '{run}' has neither a SavedModel nor a checkpoint")
    return checkpoints[-1]


def _of_file(path: pathlib.Path) -> keras.Model:
    model = backbones.load_model(path)
    network = network_of(model)
    takes, gives = (getattr(network, f"{side}_shape", None) for side in ("input", "output"))
    if isinstance(takes, tuple) and len(takes) != 4:
        raise InputError(f"'{path}' must take images [B, H, W, C]; it takes {shown(list(takes))}")
    if isinstance(gives, tuple) and len(gives) != 2:
        raise InputError(f"'{path}' must return vectors [B, D]; it returns {shown(list(gives))}")
    return model
