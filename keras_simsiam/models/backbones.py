"""Backbones of all kinds: ResNets, `keras.applications`, files, and functions of a user."""

from __future__ import annotations

import functools
import importlib
import os
import pathlib
import sys
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from keras_simsiam import _compat, config, user_code
from keras_simsiam.backbone_rules import IMAGENET, NO_WEIGHTS, BackboneRule
from keras_simsiam.errors import InputError, first_line, shown
from keras_simsiam.fields import choices
from keras_simsiam.models.base import network_of
from keras_simsiam.models.parts import renewed
from keras_simsiam.models.resnet import BACKBONES


class Normalization(NamedTuple):
    """The mean and standard deviation of each channel, of values in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def build(settings: config.Model, image_size: int, channels: int = 3) -> keras.Model:
    """The backbone of a run with random weights; that of a function, as the function makes it.

    Args:
        settings: The model's settings.
        image_size: Side of the views in pixels.
        channels: Their channels.

    Raises:
        InputError: If there is no such backbone, or it takes other images.
    """
    rule = BackboneRule.parse(settings.backbone)
    if rule.kind == "resnet":
        return BACKBONES[rule.name](width=settings.width, stem=settings.stem, channels=channels)
    if rule.kind == "application":
        if channels != 3:
            raise InputError(f"channels must be 3 for {settings.backbone}; got {channels}")
        # The graph may depend on the weights: those of ImageNet have a scale of their own.
        weights = IMAGENET if settings.backbone_weights == IMAGENET else None
        side = None if settings.small_views else image_size
        network = application(rule.name, side, weights)
        if not _compat.KERAS_3:  # which cannot load ConvNeXt
            _loadable(network, settings.backbone)
        return network if weights is None else renewed(network)
    if rule.kind == "file":
        return renewed(_checked(network_of(load_model(rule.name)), rule.name, image_size, channels))
    return _checked(_made(rule.name), rule.name, image_size, channels)


def pretrained(settings: config.Model, image_size: int, channels: int = 3) -> keras.Model | None:
    """The same backbone with the weights that a run starts from; None for random ones.

    Args:
        settings: The model's settings.
        image_size: Side of the views in pixels.
        channels: Their channels.

    Raises:
        InputError: If the weights cannot be read or downloaded, or do not fit.
    """
    rule, weights = BackboneRule.parse(settings.backbone), settings.backbone_weights
    if weights == NO_WEIGHTS:
        return None
    if weights is None:
        return network_of(load_model(rule.name)) if rule.kind == "file" else None
    if rule.kind == "application":
        return application(rule.name, None if settings.small_views else image_size, weights)
    network = build(settings, image_size, channels)
    _check_file(weights)
    try:
        network.load_weights(weights)
    except Exception as e:  # any part of Keras may raise its own error
        raise InputError(
            f"the weights of '{weights}' do not fit {settings.backbone}: {first_line(e)}"
        ) from e
    return network


def own_normalization(backbone: str) -> Normalization | None:
    """The mean and std that a backbone was made for; None for those that do not say it.

    Args:
        backbone: See `BackboneRule`.

    Raises:
        InputError: If there is no such model, or its file cannot be read.
    """
    rule = BackboneRule.parse(backbone)
    if rule.kind == "application":
        return normalization_of(rule.name)
    if rule.kind == "file":
        known = getattr(load_model(rule.name), "preprocessing", None)
        return Normalization(known.mean, known.std) if known is not None else None
    return None


def normalization_of(name: str) -> Normalization:
    """The mean and std that a model of `keras.applications` was made for, by its name.

    Raises:
        InputError: If there is no such model.
    """
    return _of_application(_find(name))[0]


def application(name: str, image_size: int | None, weights: str | None = IMAGENET) -> keras.Model:
    """A model of `keras.applications` without its classifier, for RGB images.

    Its input is normalized by `normalization_of`. The models that take BGR have the channels of
    their first convolution in the order RGB here.

    Args:
        name: Its name, such as "EfficientNetV2B0".
        image_size: Side of the images in pixels; None for any.
        weights: "imagenet", a file of weights, or None for random ones.

    Raises:
        InputError: If there is no such model, its weights cannot be read or downloaded, or the
            images are too small.
    """
    make = _find(name)
    _, reversed_channels = _of_application(make)
    if weights not in (None, IMAGENET):
        _check_file(weights)
    try:
        network = make(
            weights=weights,
            include_top=False,
            pooling="avg",
            input_shape=(image_size, image_size, 3),
        )
    except Exception as e:  # of the download, the file or the image size
        of = "" if weights is None else f" with the weights '{weights}'"
        raise InputError(f"cannot make 'keras:{name}'{of}: {first_line(e)}") from e
    if reversed_channels:
        kernel = next(v for v in network.trainable_variables if len(v.shape) == 4)
        kernel.assign(kernel.numpy()[:, :, ::-1])
    return network


def load_model(path: str | os.PathLike) -> keras.Model:
    """The model of a ``.keras`` file: a method's, or any other.

    Raises:
        InputError: If the file does not exist or cannot be read.
    """
    _check_file(path)
    for module in choices(config.Model, "method"):  # a file may be of any, which Keras must know
        importlib.import_module(f"keras_simsiam.models.{module}")
    importlib.import_module("keras_simsiam.optimizers")
    try:
        return keras.models.load_model(path, safe_mode=True, compile=False)
    except Exception as e:  # any part of Keras may raise its own error
        raise InputError(f"cannot read '{path}': {first_line(e)}") from e


def _find(name: str) -> Callable:
    """The function of `keras.applications` that makes a model."""
    make = getattr(keras.applications, name, None)
    if not name[:1].isupper() or not callable(make):
        known = [n for n in dir(keras.applications) if n[:1].isupper()]
        raise InputError(
            f"'keras:{name}' must name a model of keras.applications, such as {known[0]} or "
            f"{known[-1]}"
        )
    return make


@functools.cache
def _of_application(make: Callable) -> tuple[Normalization, bool]:
    """What the model's own `preprocess_input` does, measured; and whether it takes BGR."""
    preprocess = sys.modules[make.__module__].preprocess_input
    black_and_primary = np.stack([np.zeros(3), *255 * np.eye(3)])[:, None, None]
    black, *primary = np.reshape(preprocess(black_and_primary), [4, 3]).astype(np.float64)
    scale = np.stack(primary) - black  # [channel in, channel out], one nonzero entry in each row
    places = scale.argmax(axis=1)
    std = 1 / scale.max(axis=1)
    mean = -black[places] * std
    rounded = (tuple(np.round(values, 9).tolist()) for values in (np.abs(mean), std))
    return Normalization(*rounded), bool(places[0] == 2)


def _made(name: str) -> keras.Model:
    """What a user's function returns, if it is a network that Keras can save and load."""
    make = user_code.find_function(name, "backbone")
    try:
        network = make()
    except Exception as e:  # whatever the function does
        raise InputError(f"backbone {name} raises {type(e).__name__}: {first_line(e)}") from e
    if not isinstance(network, keras.Model):
        raise InputError(f"backbone {name} must return a keras.Model; got {shown(network)}")
    return _loadable(network, name)


def _loadable(network: keras.Model, name: str) -> keras.Model:
    """The network, if a checkpoint with it can be read again."""
    try:
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    except Exception as e:  # any part of Keras may raise its own error
        raise InputError(
            f"backbone {name} must be a model that Keras can save and load, of classes registered "
            f"by keras.saving.register_keras_serializable: {first_line(e)}"
        ) from e
    return network


def _checked(network: keras.Model, name: str, image_size: int, channels: int) -> keras.Model:
    """The network, if it takes images of this size and channels and returns vectors."""
    takes = getattr(network, "input_shape", None)
    if isinstance(takes, tuple) and (len(takes) != 4 or takes[3] not in (channels, None)):
        raise InputError(
            f"backbone {name} must take images [B, H, W, {channels}]; it takes {shown(list(takes))}"
        )
    if isinstance(takes, tuple) and any(side not in (image_size, None) for side in takes[1:3]):
        raise InputError(
            f"backbone {name} takes images of {takes[1]}×{takes[2]} pixels; image_size must be "
            f"that, got {image_size}"
        )
    gives = getattr(network, "output_shape", None)
    if isinstance(gives, tuple) and len(gives) != 2:
        raise InputError(
            f"backbone {name} must return vectors [B, D]; it returns {shown(list(gives))}"
        )
    return network


def _check_file(path: str | os.PathLike) -> None:
    if not pathlib.Path(path).is_file():
        what = "must be a file" if os.path.exists(path) else "does not exist"
        raise InputError(f"'{path}' {what}")
