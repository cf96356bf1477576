"""Classifiers as files: a SavedModel that says class names, and a ``.keras`` file in its folder."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import keras
import tensorflow as tf

from keras_simsiam.arrays import check_images
from keras_simsiam.errors import InputError, first_line
from keras_simsiam.evaluation import Encoder
from keras_simsiam.export import encoder_in, module_of, opened, preprocessing_in
from keras_simsiam.fields import checks_arguments
from keras_simsiam.fine_tuning.classifier import Classifier
from keras_simsiam.preprocessing import Preprocessing

KERAS_FILE = "classifier.keras"
"""The file in the SavedModel's folder."""

_GIVES = {"class_name": tf.string, "confidence": tf.float32, "probabilities": tf.float32}


def write_classifier(classifier: Classifier, folder: pathlib.Path) -> None:
    """Writes a classifier to a folder: a SavedModel, and the model for Keras.

    The SavedModel's ``serving_default`` takes ``images``, uint8 ``[B, H, W, C]`` of any batch and
    image size, and gives ``class_name``, string ``[B]``, ``confidence``, float32 ``[B]``, which is
    its probability, and ``probabilities``, float32 ``[B, C]``. `tf.saved_model.load` loads it
    without this package; its attribute ``class_names`` has all names, string ``[C]``.
    """
    module = module_of(classifier, classifier.preprocessing)
    module.class_names = tf.Variable([*classifier.class_names], trainable=False)
    # A network may need AutoGraph, which takes half a second for the preprocessing.
    prepared = tf.autograph.experimental.do_not_convert(classifier.preprocessing.__call__)

    @tf.function(input_signature=[classifier.preprocessing.spec])
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        features = classifier.network(prepared(images), training=False)
        probabilities = tf.nn.softmax(classifier.head(tf.cast(features, tf.float32)))
        return {
            "class_name": tf.gather(module.class_names, tf.argmax(probabilities, axis=1)),
            "confidence": tf.reduce_max(probabilities, axis=1),
            "probabilities": probabilities,
        }

    module.serve = serve
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    keras.Model.save(classifier, folder / KERAS_FILE)


class ExportedClassifier(NamedTuple):
    """A classifier that was loaded from a SavedModel::

        classifier = ks.load_classifier("saved_models/mine-classifier")
        probabilities = classifier(images)  # uint8 [B, H, W, C] to float32 [B, C]

    Attributes:
        function: From images, uint8 ``[B, H, W, C]`` of any size, to the probabilities of the
            classes, float32 ``[B, C]``.
        class_names: Names of the classes.
        preprocessing: How the function resizes and normalizes the images.
    """

    function: Callable[[tf.Tensor], tf.Tensor]
    class_names: tuple[str, ...]
    preprocessing: Preprocessing

    @property
    def image_size(self) -> int:
        """Side in pixels to which images are resized."""
        return self.preprocessing.image_size

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Probabilities of the classes of a batch of images; see `function`."""
        check_images(images, channels=self.preprocessing.channels)
        return self.function(images)


Exported: TypeAlias = Encoder | ExportedClassifier
"""A model that was loaded from a SavedModel."""


@checks_arguments
def load_classifier(path: str | pathlib.Path) -> ExportedClassifier:
    """Loads the SavedModel of a classifier, as ``fine_tune`` writes it.

    A SavedModel is a program: it can read and write files. Load only those you trust.

    Args:
        path: Its folder.

    Raises:
        InputError: If there is no SavedModel, or it is of no classifier. Calling the classifier
            raises it, too, if the SavedModel does not do what it declares.
    """
    path = pathlib.Path(path)
    return _classifier_in(path, *opened(path, "fine_tune"))


def load_any(path: str | pathlib.Path) -> tuple[Exported, str]:
    """An exported model, and what it computes: "features" or "probabilities".

    Raises:
        InputError: If there is neither an encoder nor a classifier.
    """
    path = pathlib.Path(path)
    module, signature = opened(path, "export_encoder or fine_tune")
    if hasattr(module, "class_names"):
        return _classifier_in(path, module, signature), "probabilities"
    return encoder_in(path, module, signature), "features"


def _classifier_in(path: pathlib.Path, module: Any, signature: Any) -> ExportedClassifier:
    """The classifier of what `opened` returned of a path."""
    gives = signature.structured_outputs
    if not hasattr(module, "class_names") or {k: v.dtype for k, v in gives.items()} != _GIVES:
        raise InputError(
            f"saved model '{path}' must be a classifier, as fine_tune writes it; it returns "
            f"{', '.join(sorted(gives))}"
        )
    names = tuple(name.decode() for name in module.class_names.numpy())

    def classify(images: tf.Tensor) -> tf.Tensor:
        try:
            # Refers to the module, which owns the weights, to keep it alive.
            return module.signatures["serving_default"](images=images)["probabilities"]
        except tf.errors.OpError as e:
            raise InputError(f"saved model '{path}' fails: {first_line(e)}") from e

    return ExportedClassifier(classify, names, preprocessing_in(path, module))
