"""Exports an encoder as a SavedModel that needs TensorFlow only, and loads it."""

from __future__ import annotations

import pathlib
from typing import Any

import keras
import tensorflow as tf

from keras_simsiam import _compat
from keras_simsiam.errors import InputError
from keras_simsiam.evaluation.encoder import Encoder, network_of, only_images
from keras_simsiam.fields import Count, checks_arguments
from keras_simsiam.files import written_atomically
from keras_simsiam.preprocessing import Preprocessing


@checks_arguments
def export_encoder(
    model: keras.Model,
    path: str | pathlib.Path,
    preprocessing: Preprocessing | Count | None = None,
) -> None:
    """Writes a model's encoder as a SavedModel, atomically.

    Its ``serving_default`` takes ``images``, uint8 ``[B, H, W, 3]`` of any batch and image size,
    resizes and normalizes them, and gives ``features``, float32 ``[B, D]``. `tf.saved_model.load`
    loads it without this package.

    Args:
        model: A `SimSiam` or another method's model, whose backbone is exported, or any model from
            normalized images to vectors.
        path: The folder. An existing SavedModel is replaced.
        preprocessing: How to resize and normalize images; an image size keeps the model's own mean
            and std. If None, the model's own preprocessing. A model that has none gets ImageNet's
            mean and std, and the image size of its input.

    Raises:
        InputError: If the preprocessing is not known, or `path` exists and is not a SavedModel.
    """
    path = pathlib.Path(path)
    if path.exists() and not (path / "saved_model.pb").exists():
        raise InputError(f"cannot replace '{path}', which is not a SavedModel; give another path")
    encoder = Encoder.of(model, preprocessing)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "images")])
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": encoder(images)}

    module = tf.Module()
    module.weights = [_compat.tensorflow_variable(v) for v in network_of(model).variables]
    module.serve = serve
    module.image_size = tf.Variable(encoder.image_size, trainable=False)
    module.mean, module.std = (
        tf.Variable(values, trainable=False, dtype=tf.float64)
        for values in (encoder.preprocessing.mean, encoder.preprocessing.std)
    )
    with written_atomically(path) as partial:
        tf.saved_model.save(module, str(partial), signatures={"serving_default": serve})


@checks_arguments
def load_encoder(path: str | pathlib.Path) -> Encoder:
    """Loads what `export_encoder` wrote.

    Args:
        path: The folder of the SavedModel.

    Returns:
        The encoder. SavedModels of earlier versions do not record mean and std; the
        encoder's `preprocessing` then has ImageNet's.

    Raises:
        InputError: If there is no SavedModel, or `export_encoder` did not write it.
    """
    if not (pathlib.Path(path) / "saved_model.pb").exists():
        raise InputError(f"saved model '{path}' does not exist, or has no saved_model.pb")
    try:
        module = tf.saved_model.load(str(path))
    except (tf.errors.OpError, OSError, ValueError) as e:
        raise InputError(f"cannot read saved model '{path}': {str(e).splitlines()[0]}") from e
    signature = module.signatures.get("serving_default")
    if signature is None or not hasattr(module, "image_size"):
        raise InputError(f"saved model '{path}' must be written by export_encoder")

    def encode(images: tf.Tensor) -> tf.Tensor:
        # Keeps the module, which owns the weights, as long as its signature.
        return module.signatures["serving_default"](images=images)["features"]

    recorded: dict[str, Any] = {
        name: tuple(map(float, getattr(module, name).numpy()))
        for name in ("mean", "std")
        if hasattr(module, name)
    }
    return Encoder(only_images(encode), Preprocessing(int(module.image_size.numpy()), **recorded))
