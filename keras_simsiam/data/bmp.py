"""Decodes BMP files. TensorFlow supports neither palettes nor masks nor 1, 4 or 16 bits."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from keras_simsiam.data.parsing import check, little_endian, numbers

_UNCOMPRESSED, _MASKED = 0, 3  # kinds of compression


class _Header(NamedTuple):
    """The header of a BMP: int64 scalars, and the masks' bytes, int64 ``[3, 4]``."""

    start: tf.Tensor
    palette: tf.Tensor
    color_size: tf.Tensor
    colors: tf.Tensor
    width: tf.Tensor
    height: tf.Tensor
    bits: tf.Tensor
    compression: tf.Tensor
    masks: tf.Tensor

    @classmethod
    def of(cls, contents: tf.Tensor) -> _Header:
        h = numbers(contents, 0, 66)
        size = little_endian(h[14:18])
        is_old = size == 12  # of OS/2, with sides of 16 bits and colors of three bytes

        def field(new: tf.Tensor, old: tf.Tensor | None = None) -> tf.Tensor:
            new = little_endian(new)
            return tf.where(is_old, tf.zeros_like(new) if old is None else little_endian(old), new)

        height, colors = field(h[22:26], h[20:22]), field(h[46:50])
        return cls(
            start=little_endian(h[10:14]),
            palette=14 + size,
            color_size=tf.where(is_old, _long(3), 4),
            colors=tf.where(colors == 0, _long(256), colors),
            width=field(h[18:22], h[18:20]),
            height=tf.where(height < 2**31, height, height - 2**32),
            bits=field(h[28:30], h[24:26]),
            compression=field(h[30:34]),
            masks=tf.reshape(h[54:66], [3, 4]),
        )


def decode_bmp(contents: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Decodes an uncompressed BMP of 1, 4, 8, 16, 24 or 32 bits per pixel to uint8 ``[H, W, 3]``.

    Args:
        contents: The file's bytes, a scalar string.
        max_pixels: Larger images are refused.
    """
    h = _Header.of(contents)
    rows, row = tf.abs(h.height), (h.width * h.bits + 31) // 32 * 4
    has_palette = tf.reduce_any(h.bits == [1, 4, 8])
    plain, masked = h.compression == _UNCOMPRESSED, h.compression == _MASKED
    is_read = (plain & (has_palette | (h.bits == 24))) | (
        (plain | masked) & ((h.bits == 16) | (h.bits == 32))
    )
    fits = (h.width > 0) & (h.width < 2**31) & (rows > 0) & (h.width * rows <= max_pixels)
    is_whole = h.start + row * rows <= tf.cast(tf.strings.length(contents), tf.int64)
    contents = check(contents, is_read, "a BMP of a compression or depth that is not read")
    contents = check(contents, fits, f"no pixels, or more than {max_pixels:,}")
    contents = check(contents, is_whole, "a BMP that is cut off")
    start, length = (tf.cast(v, tf.int32) for v in (h.start, row * rows))
    pixels = tf.io.decode_raw(tf.strings.substr(contents, start, length), tf.uint8)
    pixels = tf.reshape(pixels, [rows, row])
    image = tf.case(
        [
            (has_palette, lambda: _from_palette(contents, h, pixels)),
            (h.bits == 16, lambda: _from_16_bits(h, pixels)),
        ],
        lambda: _from_bytes(h, pixels),
    )
    return image[:: tf.where(h.height < 0, _long(1), -1), : h.width]


def _from_palette(contents: tf.Tensor, h: _Header, pixels: tf.Tensor) -> tf.Tensor:
    """Pixels of 1, 4 or 8 bits are indices into a table of blue, green and red."""
    table = numbers(contents, h.palette, 4 * 256)
    entries = tf.range(256, dtype=tf.int64)[:, None]
    table = tf.gather(table, entries * h.color_size + [2, 1, 0])
    # As in Pillow, a color that the table does not have is black.
    table = tf.cast(tf.where(entries < h.colors, table, 0), tf.uint8)
    shifts = 8 - h.bits * tf.range(1, 8 // h.bits + 1)
    indices = tf.bitwise.right_shift(pixels[..., None], tf.cast(shifts, tf.uint8))
    indices = tf.bitwise.bitwise_and(indices, tf.cast(2**h.bits - 1, tf.uint8))
    return tf.gather(table, tf.cast(tf.reshape(indices, [tf.shape(pixels)[0], -1]), tf.int32))


def _from_16_bits(h: _Header, pixels: tf.Tensor) -> tf.Tensor:
    """Five bits a color, or six of green if the masks say so."""
    pixels = tf.reshape(pixels, [tf.shape(pixels)[0], -1, 2])
    value = little_endian(tf.cast(pixels, tf.int64))
    has_six = (h.compression == _MASKED) & (little_endian(h.masks[1]) == 0x07E0)
    shift, greens = tf.where(has_six, _long(2**11), 2**10), tf.where(has_six, _long(63), 31)
    red, green, blue = value // shift % 32, value // 32 % (greens + 1), value % 32
    return tf.cast(
        tf.stack([red * 255 // 31, green * 255 // greens, blue * 255 // 31], axis=-1), tf.uint8
    )


def _from_bytes(h: _Header, pixels: tf.Tensor) -> tf.Tensor:
    """A byte a color: blue, green, red, or where the masks of 32 bits say."""
    has_masks = (h.compression == _MASKED) & tf.reduce_any(h.masks > 0)
    order = tf.where(has_masks, tf.argmax(h.masks, axis=1), _long([2, 1, 0]))
    size = h.bits // 8
    columns = tf.shape(pixels, tf.int64)[1] // size
    pixels = tf.reshape(pixels[:, : columns * size], [-1, columns, size])
    return tf.gather(pixels, order, axis=2)


def _long(value: int | list[int]) -> tf.Tensor:
    return tf.constant(value, tf.int64)
