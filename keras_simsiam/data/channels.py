"""From the channels and values that a file has to those that are asked for."""

from __future__ import annotations

import tensorflow as tf

from keras_simsiam.data.parsing import check
from keras_simsiam.pixels import Pixels

_GRAY = (0.299, 0.587, 0.114)  # Pillow's weights


def ends_of(pixels: Pixels) -> tf.Tensor:
    """The range of pixels for `scaled`, float32 ``[2, C]``: low and high; zeros for none."""
    none = (0.0,) * pixels.channels
    return tf.constant([pixels.low or none, pixels.high or none], tf.float32)


def scaled(values: tf.Tensor, ends: tf.Tensor, largest: tf.Tensor | float) -> tf.Tensor:
    """Values as uint8; what is not a number becomes 0.

    Args:
        values: float32 ``[H, W, C]``.
        ends: What becomes 0 and 255, see `ends_of`.
        largest: What becomes 255 where there is no range.
    """
    low, high = tf.unstack(ends)
    high = tf.where(high > low, high, tf.cast(largest, tf.float32))
    shares = (values - low) / (high - low)
    shares = tf.where(tf.math.is_nan(shares), 0.0, tf.clip_by_value(shares, 0.0, 1.0))
    return tf.cast(tf.round(255.0 * shares), tf.uint8)


def of_rgb(rgb: tf.Tensor, channels: int) -> tf.Tensor:
    """RGB ``[H, W, 3]``, uint8 or float32, with one channel, or with three."""
    if channels == 3:
        return rgb
    if channels == 1:
        gray = tf.tensordot(tf.cast(rgb, tf.float32), tf.constant(_GRAY), 1)[..., None]
        return gray if rgb.dtype.is_floating else tf.cast(tf.round(gray), rgb.dtype)
    return tf.repeat(checked_channels(rgb, tf.constant(3), channels)[..., :1], channels, axis=2)


def on_white(colors: tf.Tensor, white: float) -> tf.Tensor:
    """RGB of colors float32 ``[H, W, 4]`` whose last channel is how opaque they are."""
    opaque = colors[..., 3:] / white
    return tf.round(colors[..., :3] * opaque + white * (1.0 - opaque))


def checked_channels(value: tf.Tensor, count: tf.Tensor, channels: int) -> tf.Tensor:
    """The value; running it fails unless a file has as many channels as are asked for."""
    found = tf.strings.as_string(count)
    expected = f" channels where {channels} are expected; train and pack have --channels"
    message = tf.strings.join([found, expected])
    return check(value, count == channels, message)
