"""BatchNorm's running averages where they lag behind the weights."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator

import keras
import tensorflow as tf

from keras_simsiam.data import ImagesLike, as_images
from keras_simsiam.models.base import JointEmbedding
from keras_simsiam.models.parts import layers_of
from keras_simsiam.preprocessing import Preprocessing

_LEFT = 0.01
"""The share of their initial values in running averages above which they lag behind."""

_SAMPLE, _BATCH = 256, 64


@contextlib.contextmanager
def settled(model: keras.Model, images: ImagesLike, preprocessing: Preprocessing) -> Iterator[None]:
    """Replaces running averages that lag behind by those of a sample of images, within the block.

    After a few steps, or with a slow momentum, they still contain much of their initial values:
    then the features of a model that trains well may be nearly the same for all images. A warning
    says what is done. The model of a run is as before after the block, and trains on as without.

    Args:
        model: A `SimSiam` or another method's model; others, whose steps are not known, are left
            as they are.
        images: Images that the model is trained on.
        preprocessing: How they become its inputs.
    """
    if not lagging(model):
        yield
        return
    state = _state(model)
    before = [v.numpy() for v in state]
    try:
        settle(model, images, preprocessing)
        yield
    finally:
        for variable, value in zip(state, before, strict=True):
            variable.assign(value)


def settle(model: keras.Model, images: ImagesLike, preprocessing: Preprocessing) -> None:
    """Replaces running averages that lag behind by those of a sample of images, for good.

    Args:
        model: See `settled`.
        images: See `settled`.
        preprocessing: See `settled`.
    """
    layers = lagging(model)
    if not layers:
        return
    momentum = max(layer.momentum for layer in layers)
    warnings.warn(
        f"the running averages of BatchNorm, with a momentum of {momentum:g}, lag behind in the "
        f"first {math.ceil(math.log(_LEFT, momentum)):,} steps; evaluation and export use averages "
        "over some training images instead",
        stacklevel=1,  # of this line, so that it is shown once
    )
    state = _state(model)
    before = [v.numpy() for v in state]
    averages = {id(v) for layer in layers for v in (layer.moving_mean, layer.moving_variance)}
    try:
        _measure(model, layers, as_images(images, channels=None), preprocessing)
    finally:
        for variable, value in zip(state, before, strict=True):
            if id(variable) not in averages:
                variable.assign(value)


def lagging(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The layers of a model in training whose running averages contain much of their first values.

    Empty for a model that has not been trained, and for one that is not a `JointEmbedding`.
    """
    if not isinstance(model, JointEmbedding) or not model.steps_done:
        return []
    found = [*layers_of(model.backbone), *layers_of(model.projector)]
    return [
        layer
        for layer in found
        if isinstance(layer, keras.layers.BatchNormalization)
        and layer.trainable
        and layer.momentum**model.steps_done > _LEFT
    ]


def _state(model: JointEmbedding) -> list:
    """What a pass in training changes."""
    return [v for part in model.parts.values() for v in part.non_trainable_variables]


def _measure(
    model: JointEmbedding,
    layers: list[keras.layers.BatchNormalization],
    images,
    preprocessing: Preprocessing,
) -> None:
    """Sets running averages to the means over the batches of a sample."""
    sample = images.sample(_SAMPLE)
    size = min(_BATCH, len(sample))

    @tf.function  # or all activations of the network would be in memory at once
    def average(batch: tf.Tensor, momentum: tf.Tensor) -> None:
        before = [layer.momentum for layer in layers]
        try:
            for layer in layers:
                layer.momentum = tf.cast(momentum, layer.variable_dtype)
            model.encode(preprocessing(batch), training=True)
        finally:
            for layer, value in zip(layers, before, strict=True):
                layer.momentum = value

    for done, batch in enumerate(sample.resized(preprocessing.image_size, size)):
        if len(batch) == size:
            average(batch, tf.constant(done / (done + 1)))
