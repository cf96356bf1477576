"""Encoders and classifiers in other formats: ONNX, and TensorFlow Lite for phones."""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_simsiam.errors import InputError, first_line
from keras_simsiam.fine_tuning.exported import Exported

OPSET = 17
"""The version of ONNX's operations: that of 2022, which all current runtimes have."""


class Runnable(NamedTuple):
    """A converted model in memory.

    Attributes:
        content: The bytes of its file.
        run: From images, uint8 ``[B, H, W, C]``, to what it gives, float32 ``[B, D]``.
    """

    content: bytes
    run: Callable[[np.ndarray], np.ndarray]


def to_onnx(model: Exported, output: str) -> Runnable:
    """Converts a model to ONNX, with the input ``images`` of any batch and image size.

    Args:
        model: The model.
        output: Name of the output.

    Raises:
        InputError: If tf2onnx or onnxruntime is not installed, or an operation has no counterpart.
    """
    tf2onnx, onnxruntime = _of_onnx()
    traced = _traced(model, output)
    try:
        proto, _ = tf2onnx.convert.from_function(
            traced, input_signature=traced.input_signature, opset=OPSET
        )
    except Exception as e:  # tf2onnx raises whatever its handlers of operations raise
        raise InputError(f"the model cannot be converted to ONNX: {first_line(e)}") from e
    _rename_output(proto.graph, output)
    content = proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(images: np.ndarray) -> np.ndarray:
        try:
            return session.run([output], {"images": images})[0]
        except Exception as e:  # onnxruntime's own errors
            raise InputError(
                f"the ONNX model fails for images {list(images.shape)}: {first_line(e)}; if the "
                "SavedModel is of an earlier version, export it again"
            ) from e

    return Runnable(content, run)


def to_tflite(model: Exported, output: str) -> Runnable:
    """Converts a model to TensorFlow Lite, with its own operations only; see `to_onnx`."""
    module = tf.Module()
    module.serve = _traced(model, output)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.serve.get_concrete_function()], module
    )
    try:
        content = converter.convert()
    except Exception as e:  # the converter's own errors
        raise InputError(
            f"the model cannot be converted to TensorFlow Lite: {first_line(e)}"
        ) from e
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it will move to a package of its own
        interpreter = tf.lite.Interpreter(model_content=content)

    def run(images: np.ndarray) -> np.ndarray:
        place = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(place, images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(place, images)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return Runnable(content, run)


FORMATS = {".onnx": to_onnx, ".tflite": to_tflite}
"""What converts to a file, by its ending."""


def check(path: pathlib.Path) -> None:
    """Raises InputError unless a model can be written to a file."""
    if path.suffix not in FORMATS:
        raise InputError(f"output must end in {' or '.join(FORMATS)}; got '{path}'")
    if path.suffix == ".onnx":
        _of_onnx()


def _of_onnx() -> tuple[Any, Any]:
    try:
        import onnxruntime
        import tf2onnx.convert
    except Exception as e:  # of binary packages that do not fit one another, too
        raise InputError(
            f"ONNX needs tf2onnx and onnxruntime, pip install '.[onnx]': {first_line(e)}"
        ) from e
    return tf2onnx, onnxruntime


def _traced(model: Exported, output: str) -> Any:
    spec = model.preprocessing.spec
    return tf.function(lambda images: {output: model.function(images)}, input_signature=[spec])


def _rename_output(graph: Any, name: str) -> None:
    """Gives the only output of a graph a name."""
    (output,) = graph.output
    old = output.name
    for node in graph.node:
        node.output[:] = [name if given == old else given for given in node.output]
        node.input[:] = [name if given == old else given for given in node.input]
    output.name = name
