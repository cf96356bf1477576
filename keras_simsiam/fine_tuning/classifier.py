"""A classifier as a Keras model: from images to the probabilities of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import keras
import tensorflow as tf

from keras_simsiam.errors import InputError, shown
from keras_simsiam.models.parts import output_dim
from keras_simsiam.preprocessing import Preprocessing


@keras.saving.register_keras_serializable("keras_simsiam")
class Classifier(keras.Model):
    """A network with a linear layer that tells classes apart, and the preprocessing of images.

    Calling it turns images, uint8 ``[B, H, W, C]`` of any size, into the probabilities of the
    classes, float32 ``[B, C]``::

        classifier = keras.models.load_model("saved_models/mine-classifier/classifier.keras")
        probabilities = classifier.predict(images)
        classifier.class_names[probabilities[0].argmax()]  # "cat"

    Args:
        network: A model from normalized images to vectors ``[B, D]``.
        preprocessing: How images become its inputs.
        class_names: Names of the classes, two or more.

    Attributes:
        network: See above.
        head: The linear layer, which gives logits.
        preprocessing: See above.
        class_names: See above.

    Raises:
        InputError: If the network returns no vectors, or there are fewer than two classes.
    """

    def __init__(
        self,
        network: keras.Model,
        preprocessing: Preprocessing,
        class_names: Sequence[str],
        name: str | None = None,
    ):
        super().__init__(name=name)
        if len(set(class_names)) < 2:
            raise InputError(
                f"class_names must have at least two classes; got {shown([*class_names])}"
            )
        self.network, self.preprocessing = network, preprocessing
        self.class_names = tuple(class_names)
        self.head = keras.layers.Dense(len(class_names), name="head", dtype="float32")
        self.head.build((None, output_dim(network, image_size=preprocessing.image_size)))
        self.built = True

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Probabilities of the classes."""
        return tf.nn.softmax(self.logits(images, training))

    def logits(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What the linear layer gives, float32 ``[B, C]``."""
        features = self.network(self.preprocessing(images), training=training)
        return self.head(tf.cast(features, tf.float32))

    def get_config(self) -> dict:
        """The arguments of the constructor."""
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "preprocessing": self.preprocessing.get_config(),
            "class_names": [*self.class_names],
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> Self:
        """Makes the classifier again from `get_config`."""
        network = keras.saving.deserialize_keras_object(config["network"])
        preprocessing = Preprocessing(**config["preprocessing"])
        return cls(network, preprocessing, config["class_names"], config["name"])
