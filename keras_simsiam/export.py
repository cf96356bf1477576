"""Exports an encoder as a SavedModel that needs TensorFlow only, and loads it."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_simsiam import _compat, documents
from keras_simsiam.errors import InputError, first_line
from keras_simsiam.evaluation.encoder import Encoder, only_images
from keras_simsiam.fields import Count, checks_arguments
from keras_simsiam.files import written_atomically
from keras_simsiam.models.base import network_of
from keras_simsiam.preprocessing import Preprocessing

_OF_CHANNELS = ("mean", "std", "low", "high")
"""What a SavedModel records of its preprocessing besides the image size."""


@checks_arguments
def export_encoder(
    model: keras.Model,
    path: str | pathlib.Path,
    preprocessing: Preprocessing | Count | None = None,
) -> None:
    """Writes a model's encoder as a SavedModel, atomically.

    Its ``serving_default`` takes ``images``, uint8 ``[B, H, W, C]`` of any batch and image size,
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
        InputError: If the preprocessing is not known, or `path` exists but is not a SavedModel.
    """
    with exporting(model, path, preprocessing):
        pass


@contextlib.contextmanager
def exporting(
    model: keras.Model,
    path: str | pathlib.Path,
    preprocessing: Preprocessing | int | None = None,
) -> Iterator[pathlib.Path]:
    """Does what `export_encoder` does; yields the finished SavedModel before it takes its place."""
    path = pathlib.Path(path)
    check_replaceable(path)
    encoder = Encoder.of(model, preprocessing)

    @tf.function(input_signature=[encoder.preprocessing.spec])
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": encoder(images)}

    module = module_of(network_of(model), encoder.preprocessing)
    module.serve = serve
    with written_atomically(path) as partial:
        tf.saved_model.save(module, str(partial), signatures={"serving_default": serve})
        yield partial


@checks_arguments
def load_encoder(path: str | pathlib.Path) -> Encoder:
    """Loads what `export_encoder` wrote.

    A SavedModel is a program: it can read and write files. Load only those you trust.

    Args:
        path: The folder of the SavedModel.

    Returns:
        The encoder. Its `preprocessing` has ImageNet's mean and std if the SavedModel is of an
        earlier version, which did not record them.

    Raises:
        InputError: If there is no SavedModel, or `export_encoder` did not write it. Calling the
            encoder raises it, too, if the SavedModel does not do what it declares.
    """
    path = pathlib.Path(path)
    return encoder_in(path, *opened(path, "export_encoder"))


def encoder_in(path: pathlib.Path, module: Any, signature: Any) -> Encoder:
    """The encoder of what `opened` returned of a path."""
    channels = _check_signature(path, signature)
    preprocessing = preprocessing_in(path, module)

    def encode(images: tf.Tensor) -> tf.Tensor:
        try:
            # Refers to the module, which owns the weights, to keep it alive.
            features = module.signatures["serving_default"](images=images)["features"]
        except tf.errors.OpError as e:
            raise InputError(f"saved model '{path}' fails: {first_line(e)}") from e
        if tf.executing_eagerly() and (features.ndim != 2 or len(features) != len(images)):
            raise InputError(
                f"saved model '{path}' must return one vector per image; for images "
                f"{list(images.shape)} it returned {list(features.shape)}"
            )
        return tf.cast(features, tf.float32)

    return Encoder(only_images(encode, channels), preprocessing)


def opened(path: pathlib.Path, writer: str) -> tuple[Any, Any]:
    """A SavedModel and its signature "serving_default".

    Args:
        path: Its folder.
        writer: The function that writes such SavedModels, for messages.

    Raises:
        InputError: If there is none, or it is damaged or of another kind.
    """
    _check_place(path)
    try:
        # Raises for a damaged fingerprint, of which `load` would only print a traceback.
        with contextlib.suppress(FileNotFoundError):
            tf.saved_model.experimental.read_fingerprint(str(path))
        module = tf.saved_model.load(str(path))
    except Exception as e:  # of a damaged SavedModel, any part's parser may raise its own error
        raise InputError(f"cannot read saved model '{path}': {first_line(e)}") from e
    signature = module.signatures.get("serving_default")
    if signature is None or not hasattr(module, "image_size"):
        raise InputError(f"saved model '{path}' must be written by {writer}")
    return module, signature


def preprocessing_in(path: pathlib.Path, module: Any) -> Preprocessing:
    """The preprocessing that a SavedModel records."""
    with documents.named(path):
        recorded = {
            name: np.asarray(getattr(module, name)).tolist()
            for name in ("image_size", *_OF_CHANNELS)
            if hasattr(module, name)
        }
        return Preprocessing(**recorded)


def module_of(network: keras.Model, preprocessing: Preprocessing) -> tf.Module:
    """What a SavedModel holds: weights, and the preprocessing that `preprocessing_in` reads."""
    module = tf.Module()
    module.weights = [_compat.tensorflow_variable(v) for v in network.variables]
    module.image_size = tf.Variable(preprocessing.image_size, trainable=False)
    for name in _OF_CHANNELS:
        values = getattr(preprocessing, name)
        setattr(module, name, tf.Variable(values, trainable=False, dtype=tf.float64))
    return module


def check_replaceable(path: pathlib.Path) -> None:
    """Raises InputError if a path has anything but a SavedModel."""
    if path.exists() and not (path / "saved_model.pb").exists():
        raise InputError(f"cannot replace '{path}', which is not a SavedModel; give another path")


def _check_place(path: pathlib.Path) -> None:
    """Raises InputError unless the path is the folder of a SavedModel, with a suggestion."""
    if path.is_file():
        hint = "is a file"
        if path.name == "saved_model.pb":
            hint += f"; give its folder '{path.parent}'"
        elif path.suffix in (".keras", ".h5"):
            hint += "; a run also writes a SavedModel, and export_encoder exports any Keras model"
        elif path.suffix in (".pt", ".pth", ".tar", ".ckpt", ".bin", ".safetensors"):
            hint += "; convert PyTorch weights with python -m keras_simsiam.import_weights"
        raise InputError(f"saved model '{path}' must be a folder; it {hint}")
    if not path.is_dir():
        raise InputError(f"saved model '{path}' does not exist")
    if not (path / "saved_model.pb").is_file():
        raise InputError(f"saved model '{path}' has no saved_model.pb{_suggestion(path)}")


def _suggestion(folder: pathlib.Path) -> str:
    """The SavedModel that may be meant by a folder: that of a run, or one inside; "" if none is."""
    summary = folder / "summary.json"
    if summary.is_file():
        with contextlib.suppress(InputError):
            if exported := documents.read_json(summary).get("saved_model"):
                return f"; it is the folder of a run, whose SavedModel is '{exported}'"
    inside = sorted(found.parent.name for found in folder.glob("*/saved_model.pb"))
    return f"; give one of those in it, such as '{folder / inside[0]}'" if inside else ""


def _check_signature(path: pathlib.Path, signature: Any) -> int:
    """The channels of the images that a SavedModel takes.

    Raises:
        InputError: If it takes anything else, or returns anything else than vectors.
    """
    _, takes = signature.structured_input_signature
    gives = signature.structured_outputs
    images = takes.get("images")
    features = gives.get("features") if isinstance(gives, dict) else None
    if (
        len(takes) != 1
        or images is None
        or images.dtype != tf.uint8
        or images.shape.rank != 4
        or images.shape.as_list()[:3] != [None, None, None]
        or not images.shape[3]
        or features is None
        or not features.dtype.is_floating
        or not features.shape.is_compatible_with([None, None])
        or features.shape[-1:] == [0]
    ):
        raise InputError(
            f"saved model '{path}' must take images, uint8 [B, H, W, C], and return features, "
            f"float32 [B, D]; it takes {_declared(takes)} and returns {_declared(gives)}"
        )
    return images.shape[3]


def _declared(tensors: Any) -> str:
    """Names, types and shapes of a signature's tensors."""
    if not isinstance(tensors, dict):
        return "no names"
    specs = (
        f"{name}, {spec.dtype.name} {str(spec.shape).replace('None', '?')}"
        for name, spec in tensors.items()
    )
    return "; ".join(specs) or "nothing"
