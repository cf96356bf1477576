"""Reading numbers from the bytes of a file inside a TensorFlow graph."""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf


def branch(*signature: tf.TensorSpec) -> Callable:
    """Decorates a function for a branch of a graph that is rarely taken.

    The function is traced once for all graphs, and without AutoGraph, which would take seconds. It
    is not inlined, because each operation of a graph takes time, even in a branch that is not
    taken.

    Args:
        signature: Shapes and types of the function's arguments.
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
        start: Position of the first byte, at least 0.
        count: Number of bytes.
    """
    start = tf.minimum(tf.cast(start, tf.int32), tf.strings.length(contents))
    padded = tf.strings.substr(contents, start, count) + b"\0" * count
    read = tf.io.decode_raw(tf.strings.substr(padded, 0, count), tf.uint8)
    return tf.cast(tf.reshape(read, [count]), tf.int64)


def little_endian(digits: tf.Tensor) -> tf.Tensor:
    """The number, int64 ``[...]``, that bytes ``[..., n]`` encode, the lowest byte first."""
    return tf.reduce_sum(digits * [256**i for i in range(digits.shape[-1])], axis=-1)


def big_endian(digits: tf.Tensor) -> tf.Tensor:
    """The number, int64 ``[...]``, that bytes ``[..., n]`` encode, the highest byte first."""
    return little_endian(digits[..., ::-1])


def check(value: tf.Tensor, holds: tf.Tensor, otherwise: str | tf.Tensor) -> tf.Tensor:
    """The value; running it raises InvalidArgumentError with a message unless `holds` is true."""
    # The raw operation, because the function adds branches. Unlike other operations on which only a
    # control dependency depends, it survives tf.data's optimization of the graph.
    with tf.control_dependencies([tf.raw_ops.Assert(condition=holds, data=[otherwise])]):
        return tf.identity(value)
