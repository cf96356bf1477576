"""Reading numbers from the bytes of a file inside a TensorFlow graph."""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf


def branch(*signature: tf.TensorSpec) -> Callable:
    """Decorates a function that is called in a branch and rarely needed.

    It is traced once for all graphs, without AutoGraph, which would take seconds, and not inlined,
    since each operation of a graph takes time where it is made and where its branch is not taken.

    Args:
        signature: The function's arguments.
    """
    return functools.partial(
        tf.function,
        input_signature=signature,
        autograph=False,
        experimental_attributes={"_noinline": True},
    )


def numbers(contents: tf.Tensor, start: tf.Tensor | int, count: int) -> tf.Tensor:
    """Some bytes of a file, int64 ``[count]``; zeros beyond its end.

    Args:
        contents: The file's bytes, a scalar string.
        start: The first of them, at least 0.
        count: How many.
    """
    start = tf.minimum(tf.cast(start, tf.int32), tf.strings.length(contents))
    padded = tf.strings.substr(contents, start, count) + b"\0" * count
    read = tf.io.decode_raw(tf.strings.substr(padded, 0, count), tf.uint8)
    return tf.cast(tf.reshape(read, [count]), tf.int64)


def little_endian(digits: tf.Tensor) -> tf.Tensor:
    """The number, int64 ``[...]``, that bytes ``[..., n]`` make, the lowest first."""
    return tf.reduce_sum(digits * [256**i for i in range(digits.shape[-1])], axis=-1)


def big_endian(digits: tf.Tensor) -> tf.Tensor:
    """The number, int64 ``[...]``, that bytes ``[..., n]`` make, the highest first."""
    return little_endian(digits[..., ::-1])


def check(value: tf.Tensor, holds: tf.Tensor, otherwise: str) -> tf.Tensor:
    """The value, or an InvalidArgumentError with a message if something does not hold."""
    # The operation, because the function adds branches. Unlike other operations that nothing but
    # a control dependency asks for, it survives tf.data's optimization of the graph.
    with tf.control_dependencies([tf.raw_ops.Assert(condition=holds, data=[otherwise])]):
        return tf.identity(value)
