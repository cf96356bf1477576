"""Taking the encoder away: a SavedModel that needs nothing of this package."""

from __future__ import annotations

import pathlib
import shutil

import keras
import tensorflow as tf

from keras_simsiam import _compat
from keras_simsiam.config import IMAGENET_MEAN, IMAGENET_STD
from keras_simsiam.errors import InputError
from keras_simsiam.evaluation.features import model_encoder


def export_encoder(
    model: keras.Model,
    path: str | pathlib.Path,
    image_size: int | None = None,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> None:
    """Writes the backbone as a SavedModel.

    Its ``serving_default`` takes ``images``, uint8 ``[B, H, W, 3]`` of any batch and image size,
    resizes and normalises them, and gives ``features``, float32 ``[B, D]``. It loads with
    `tf.saved_model.load` alone.

    The folder is written beside its place and then renamed, so that an interruption leaves what
    was there before.

    Args:
        model: A `SimSiam`, or any model from normalised images to vectors.
        path: The folder to write; a SavedModel that is there already is replaced.
        image_size: Side in pixels that the model was trained at; where None, that of the views
            a `SimSiam` has seen, or the one that the model's input has.
        mean: Of each channel, in [0, 1], as in its training.
        std: Of each channel.

    Raises:
        InputError: If the size is not known, or the path holds something else than a SavedModel.
    """
    path = pathlib.Path(path)
    if path.exists() and not (path / "saved_model.pb").exists():
        raise InputError(f"'{path}' exists already and is no SavedModel; give another path")
    backbone = getattr(model, "backbone", model)
    image_size = image_size or getattr(model, "image_size", None) or backbone.input_shape[1]
    if image_size is None:
        raise InputError("image_size is needed: the model has seen no views and takes any size")
    encode = model_encoder(backbone, image_size, mean, std)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "images")])
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": encode(images)}

    module = tf.Module()
    module.weights = [_compat.tensorflow_variable(v) for v in backbone.variables]
    module.serve = serve
    module.image_size = tf.Variable(image_size, trainable=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside, old = (path.with_name(f".{path.name}.{kind}") for kind in ("partial", "old"))
    for left_over in (aside, old):
        shutil.rmtree(left_over, ignore_errors=True)
    tf.saved_model.save(module, str(aside), signatures={"serving_default": serve})
    if path.exists():
        path.rename(old)
    aside.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def load_encoder(path: str | pathlib.Path) -> tuple:
    """Reads what `export_encoder` wrote.

    Args:
        path: The SavedModel's folder.

    Returns:
        A function from uint8 ``[B, H, W, 3]`` to float32 features ``[B, D]``, and the side in
        pixels that it was trained at.

    Raises:
        InputError: If there is no SavedModel, or one that was not written by `export_encoder`.
    """
    if not (pathlib.Path(path) / "saved_model.pb").exists():
        raise InputError(f"saved model '{path}' does not exist, or lacks its saved_model.pb")
    try:
        module = tf.saved_model.load(str(path))
    except (tf.errors.OpError, OSError, ValueError) as e:
        raise InputError(f"saved model '{path}' cannot be read: {str(e).splitlines()[0]}") from e
    signature = module.signatures.get("serving_default")
    if signature is None or not hasattr(module, "image_size"):
        raise InputError(f"saved model '{path}' was not written by keras_simsiam's export_encoder")

    def encode(images: tf.Tensor) -> tf.Tensor:
        # The module must be kept as long as its signature: it owns the weights.
        return module.signatures["serving_default"](images=tf.convert_to_tensor(images))["features"]

    return encode, int(module.image_size.numpy())
