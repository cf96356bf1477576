"""Decodes NumPy's ``.npy`` files in a TensorFlow graph."""

from __future__ import annotations

import functools

import tensorflow as tf

from keras_simsiam.data.channels import checked_channels, of_rgb, scaled
from keras_simsiam.data.parsing import check, little_endian, numbers

MAGIC = b"\x93NUMPY"

_BYTES = ("|u1", "|b1")  # whose values are read as they are

_TYPES = {
    "|u1": tf.uint8,
    "|b1": tf.uint8,
    "|i1": tf.int8,
    **{
        f"{order}{code}": kind
        for order in "<>"
        for code, kind in {
            "u2": tf.uint16,
            "i2": tf.int16,
            "i4": tf.int32,
            "u4": tf.int32,
            "i8": tf.int64,
            "f2": tf.float16,
            "f4": tf.float32,
            "f8": tf.float64,
        }.items()
    },
}
"""NumPy's types of pixels, and how TensorFlow reads them. It reads no unsigned 32 bits."""


_LARGEST = {"i1": 2.0**7, "u2": 2.0**16, "i2": 2.0**15, "u4": 2.0**32, "i4": 2.0**31, "i8": 2.0**63}
"""One more than the largest value, by type; floats are from 0 to 1."""


def decode_npy(contents: tf.Tensor, ends: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """The image in a file, uint8 ``[H, W, C]``; see `keras_simsiam.data.decoding.decode`.

    Args:
        contents: The file's bytes, a scalar string tensor.
        ends: The range of more than 8 bits, float32 ``[2, C]``, see `ends_of`.
        max_pixels: The most pixels that are read.

    Raises:
        tf.errors.InvalidArgumentError: If the file is damaged, or holds anything else than numbers
            ``[H, W]``, ``[H, W, C]`` or ``[C, H, W]``.
    """
    values = npy_values(contents, ends.shape[1], max_pixels)
    code = tf.strings.substr(_type(contents), 1, 2)
    names = [*_LARGEST]
    which = tf.argmax(tf.concat([names == code, [True]], axis=0), output_type=tf.int32)
    largest = tf.gather([*(size - 1 for size in _LARGEST.values()), 1.0], which)
    return tf.cond(
        is_deep_npy(contents),
        lambda: scaled(values, ends, largest),
        lambda: tf.cast(values, tf.uint8),
    )


def npy_values(contents: tf.Tensor, channels: int, max_pixels: int) -> tf.Tensor:
    """The values in a file, float32 ``[H, W, channels]``; true is 255."""
    values = _array(contents, max_pixels)
    if channels > 1:  # [C, H, W], as rasterio gives them
        first = (tf.shape(values)[0] == channels) & (tf.shape(values)[2] != channels)
        values = tf.cond(first, lambda: tf.transpose(values, [1, 2, 0]), lambda: values)
    count = tf.shape(values)[2]
    if channels == 3:
        values = tf.cond(count == 1, lambda: tf.repeat(values, 3, axis=2), lambda: values)
    if channels == 1:
        values = tf.cond(count == 3, lambda: of_rgb(values, 1), lambda: values)
    return checked_channels(values, tf.shape(values)[2], channels)


def is_deep_npy(contents: tf.Tensor) -> tf.Tensor:
    """Whether the values in a file have more than 8 bits."""
    return tf.reduce_all(_type(contents) != [*_BYTES])


def _type(contents: tf.Tensor) -> tf.Tensor:
    """The type of a file's array, a scalar string such as "<u2"."""
    return tf.strings.regex_replace(_header(contents)[0], r"(?s).*'descr': '([^']*)'.*", r"\1")


def _array(contents: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """The array in a file, float32 ``[H, W, C]``."""
    header, start = _header(contents)
    plain = tf.strings.regex_full_match(header, r"(?s).*'fortran_order': False.*")
    header = check(header, plain, "a .npy file that is not in C order")
    listed = tf.strings.regex_replace(header, r"(?s).*'shape': \(([^)]*)\).*", r"\1")
    is_shape = tf.strings.regex_full_match(
        listed, r"[1-9][0-9]{0,8}, [1-9][0-9]{0,8}(, [1-9][0-9]{0,4})?"
    )
    listed = check(listed, is_shape, "a .npy file whose shape is not [H, W] or [H, W, C]")
    shape = tf.strings.to_number(tf.strings.split(listed, ", "), tf.int64)
    shape = tf.concat([shape, tf.ones([3 - tf.size(shape)], tf.int64)], axis=0)
    shape = check(shape, shape[0] * shape[1] <= max_pixels, f"more than {max_pixels:,} pixels")
    kind, raw = _type(contents), tf.strings.substr(contents, start, -1)
    size = tf.cast(tf.strings.length(raw), tf.int64)

    def read(name: str) -> tf.Tensor:
        each = _TYPES[name]
        whole = check(raw, size == tf.reduce_prod(shape) * each.size, "a .npy file that is cut off")
        values = tf.io.decode_raw(whole, each, little_endian=not name.startswith(">"))
        values = tf.cast(values, tf.float32) * (255.0 if name == "|b1" else 1.0)
        return tf.where(values < 0, values + 2.0**32, values) if name.endswith("u4") else values

    def refused() -> tf.Tensor:
        return check(tf.zeros([0]), tf.constant(False), "a .npy file of another type than numbers")

    names = tf.constant([*_TYPES])
    which = tf.argmax(tf.concat([names == kind, [True]], axis=0), output_type=tf.int32)
    of_types = [functools.partial(read, name) for name in _TYPES]
    return tf.reshape(tf.switch_case(which, [*of_types, refused]), shape)


def _header(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The header, a Python literal, and the position of the first pixel."""
    sizes = numbers(contents, 6, 6)  # version 1 has two bytes of length, and others four
    is_first = sizes[0] == 1
    length = tf.where(is_first, little_endian(sizes[2:4]), little_endian(sizes[2:6]))
    start = tf.where(is_first, 10, 12)
    length = tf.cast(tf.minimum(length, 2**16), tf.int32)
    start = tf.minimum(start, tf.strings.length(contents))
    header = tf.strings.substr(contents, start, length)
    return header, tf.minimum(start + length, tf.strings.length(contents))
