"""The encoder: a function from images to features, together with its preprocessing."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_simsiam.arrays import check_images
from keras_simsiam.errors import InputError, shown
from keras_simsiam.fields import Count, checks_arguments
from keras_simsiam.models.base import JointEmbedding, network_of
from keras_simsiam.models.parts import input_channels
from keras_simsiam.preprocessing import Preprocessing


class Encoder:
    """A function from images to features, together with the preprocessing that it includes.

    Calling it calls the function::

        encoder = Encoder.of(model)  # or load_encoder("saved_models/photo_patches")
        features = encoder(images)  # uint8 [B, H, W, C] to float32 [B, D]
        batches = dataset.map(encoder)  # of batches of images in tf.data

    Attributes:
        function: From uint8 images ``[B, H, W, C]`` of any size to float32 features ``[B, D]``.
        preprocessing: How the function resizes and normalizes the images.

    Raises:
        InputError: When called on anything else than such images.
    """

    # Not a named tuple, because `tf.function` needs weak references to what it wraps.
    @checks_arguments
    def __init__(self, function: Callable, preprocessing: Preprocessing):
        """Makes an encoder from a function and the preprocessing that it includes."""
        self.function: Callable[[tf.Tensor], tf.Tensor] = function
        self.preprocessing = preprocessing

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Features of a batch of images; see `function`."""
        check_images(images, channels=self.preprocessing.channels)
        return self.function(images)

    def __getitem__(self, index: int) -> Any:
        """Makes ``function, preprocessing = encoder`` work."""
        return (self.function, self.preprocessing)[index]

    @property
    def image_size(self) -> int:
        """Side in pixels to which images are resized."""
        return self.preprocessing.image_size

    @classmethod
    @checks_arguments
    def of(cls, model: keras.Model, preprocessing: Preprocessing | Count | None = None) -> Encoder:
        """The encoder of a model in evaluation mode.

        It is traced once for each preprocessing and kept with the model, and always uses the
        model's current weights.

        Args:
            model: A `SimSiam` or another method's model, whose backbone is used, or any model from
                normalized images to vectors.
            preprocessing: See `preprocessing_of`.

        Raises:
            InputError: If the preprocessing is not known.
        """
        network = network_of(model)
        preprocessing = preprocessing_of(model, preprocessing)
        # Not set as an attribute, so that Keras does not track it. A mapping from models to
        # encoders, even a weak one, would keep the models alive, because encoders refer to them.
        traced = vars(network).setdefault("_keras_simsiam_encoders", {})
        key = dataclasses.astuple(preprocessing)
        if key not in traced:
            traced[key] = cls(_traced(network, preprocessing), preprocessing)
        return traced[key]


@checks_arguments
def preprocessing_of(
    model: keras.Model,
    preprocessing: Preprocessing | Count | None = None,
    default_size: Count | None = None,
) -> Preprocessing:
    """The preprocessing of a model's images.

    Args:
        model: As for `Encoder.of`.
        preprocessing: What was asked for: a `Preprocessing`; or an image size, with the model's
            own mean and std; or None for the model's own preprocessing. A model that has none
            gets ImageNet's mean and std and the image size of its input.
        default_size: Image size for a model that has none and takes images of any size.

    Raises:
        InputError: If the image size is not known.
    """
    if isinstance(preprocessing, Preprocessing):
        return preprocessing
    own = getattr(model, "preprocessing", None)
    if isinstance(own, Preprocessing):
        return own if preprocessing is None else own.replace(image_size=preprocessing)
    if own is not None and isinstance(model, JointEmbedding):
        raise InputError(f"the model's preprocessing must be a Preprocessing; got {shown(own)}")
    size = preprocessing or _input_size(network_of(model)) or default_size
    if size is None:
        raise InputError(
            f"preprocessing is required, because {model.name} takes images of any size; give "
            "Preprocessing(image_size, mean, std), or an image size for ImageNet's mean and std; "
            "got None"
        )
    return Preprocessing.assumed(size, input_channels(network_of(model)))


def _input_size(network: keras.Model) -> int | None:
    """The side of a network's input images in pixels; None if they may have any size."""
    shape = getattr(network, "input_shape", None)  # a subclassed model may have none
    return shape[1] if isinstance(shape, tuple) and len(shape) == 4 else None


def _traced(network: keras.Model, preprocessing: Preprocessing) -> Callable[[tf.Tensor], tf.Tensor]:
    # A network may need AutoGraph, which takes half a second for the preprocessing.
    prepared = tf.autograph.experimental.do_not_convert(preprocessing.__call__)

    @tf.function(input_signature=[preprocessing.spec])
    def encode(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(network(prepared(images), training=False), tf.float32)

    return only_images(encode, preprocessing.channels)


def only_images(
    function: Callable[[tf.Tensor], tf.Tensor], channels: int = 3
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Makes a function raise InputError for what is not uint8 ``[B, H, W, C]``, in graphs, too."""

    def of_images(images: tf.Tensor) -> tf.Tensor:
        check_images(images, channels=channels)
        # In a graph, not even the rank may be known.
        return function(tf.ensure_shape(images, [None, None, None, channels]))

    return of_images


@functools.cache
def raw_pixels_of(channels: int) -> Encoder:
    """The normalized pixels of 32×32 images as features: the baseline without a network.

    Args:
        channels: Channels of the images.
    """
    preprocessing = Preprocessing.assumed(32, channels)

    def flattened(images: tf.Tensor) -> tf.Tensor:
        pixels = preprocessing(images)
        return tf.reshape(pixels, [tf.shape(pixels)[0], -1])

    return Encoder(flattened, preprocessing)


raw_pixels = raw_pixels_of(3)
"""The normalized pixels of 32×32 RGB images as 3072 features."""
