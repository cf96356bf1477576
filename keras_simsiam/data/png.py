"""Decodes PNG files of 8 and 16 bits, with and without transparency, in a TensorFlow graph."""

from __future__ import annotations

import tensorflow as tf

from keras_simsiam.data.channels import checked_channels, of_rgb, on_white, scaled
from keras_simsiam.data.parsing import big_endian, check

_SEARCHED = 2**12  # bytes, in which transparency of palettes and of one color is announced
_CHANNELS = (1, 0, 3, 3, 2, 0, 4)  # by color type


def decode_png(
    contents: tf.Tensor, header: tf.Tensor, ends: tf.Tensor, max_pixels: int
) -> tf.Tensor:
    """The image in a PNG, uint8 ``[H, W, C]``; see `keras_simsiam.data.decoding.decode`.

    Args:
        contents: The file's bytes, a scalar string tensor.
        header: Its first bytes, int64 ``[30]``.
        ends: The range of 16 bits, float32 ``[2, C]``, see `ends_of`.
        max_pixels: The most pixels that are read.
    """
    sized, channels = _bounded(contents, header, max_pixels), ends.shape[1]

    def values(kind: tf.DType) -> tf.Tensor:
        return _values(sized, header, channels, kind)

    def special() -> tf.Tensor:
        return tf.cond(
            is_deep_png(header),
            lambda: scaled(values(tf.uint16), ends, 65535.0),
            lambda: tf.cast(tf.round(values(tf.uint8)), tf.uint8),
        )

    if channels != 3:
        return special()
    is_special = is_deep_png(header) | _has_alpha(contents, header)
    return tf.cond(is_special, special, lambda: tf.io.decode_png(sized, 3))


def png_values(contents: tf.Tensor, header: tf.Tensor, channels: int, max_pixels: int) -> tf.Tensor:
    """The values of a PNG of 16 bits, float32 ``[H, W, channels]`` from 0 to 65,535."""
    return _values(_bounded(contents, header, max_pixels), header, channels, tf.uint16)


def is_deep_png(header: tf.Tensor) -> tf.Tensor:
    """Whether a file, of which these are the first bytes, is a PNG of 16 bits."""
    return tf.reduce_all(header[:4] == [*b"\x89PNG"]) & (header[24] == 16)


def _values(contents: tf.Tensor, header: tf.Tensor, channels: int, kind: tf.DType) -> tf.Tensor:
    def all_four() -> tf.Tensor:
        return tf.cast(tf.io.decode_png(contents, 4, kind), tf.float32)

    if channels in (1, 3):
        rgb = tf.cond(
            _has_alpha(contents, header),
            lambda: on_white(all_four(), float(kind.max)),
            lambda: tf.cast(tf.io.decode_png(contents, 3, kind), tf.float32),
        )
        return of_rgb(rgb, channels)
    # Gray and alpha, or RGB and alpha, count as two or four channels of measurements.
    count = tf.gather(_CHANNELS, tf.minimum(header[25], 6))
    contents = checked_channels(contents, count, channels)
    kept = {2: [0, 3], 4: [0, 1, 2, 3]}.get(channels, [0] * channels)  # others have failed
    return tf.gather(all_four(), kept, axis=2)


def _has_alpha(contents: tf.Tensor, header: tf.Tensor) -> tf.Tensor:
    """Whether pixels of a PNG may be transparent."""
    start = tf.strings.substr(contents, 0, _SEARCHED)
    parts = tf.raw_ops.StringSplitV2(input=start[None], sep=b"tRNS", maxsplit=1).values
    return (header[25] == 4) | (header[25] == 6) | (tf.size(parts) == 2)


def _bounded(contents: tf.Tensor, header: tf.Tensor, max_pixels: int) -> tf.Tensor:
    pixels = big_endian(header[16:20]) * big_endian(header[20:24])
    return check(contents, pixels <= max_pixels, f"more than {max_pixels:,} pixels")
