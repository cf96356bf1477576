"""Turns images upright as their Exif data say."""

from __future__ import annotations

import tensorflow as tf

from keras_simsiam.data.parsing import big_endian, branch, little_endian, numbers

_ORIENTATION = 0x0112
_BYTE, _SHORT, _LONG = 1, 3, 4  # types of a value
_SEARCHED = 2**16  # the longest that a segment of a JPEG can be


def upright(image: tf.Tensor, contents: tf.Tensor, marker: bytes, skip: int = 0) -> tf.Tensor:
    """Turns and mirrors an image as its Exif data say; damaged data count as none.

    Args:
        image: uint8 ``[H, W, C]``.
        contents: The part of the file that may have Exif data, a scalar string.
        marker: The bytes that precede the data.
        skip: Number of bytes between the marker and the data.

    Returns:
        ``[H, W, C]``, or ``[W, H, C]`` of an image that lies on its side.
    """
    # Searching is faster than following the segments of a file, which would take longer than
    # decoding a small image. The raw operation, because tf.strings.split adds others to it.
    parts = tf.raw_ops.StringSplitV2(input=contents[None], sep=marker, maxsplit=1).values
    return tf.cond(tf.size(parts) == 2, lambda: _turned(image, parts[1], skip), lambda: image)


@branch(
    tf.TensorSpec([None, None, None], tf.uint8),
    tf.TensorSpec([], tf.string),
    tf.TensorSpec([], tf.int32),
)
def _turned(image: tf.Tensor, contents: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    value = orientation(contents, start)
    image = tf.cond(value >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    rows, columns = (
        tf.where(tf.reduce_any(value == mirrored), -1, 1)
        for mirrored in ([3, 4, 7, 8], [2, 3, 6, 7])
    )
    return image[::rows, ::columns]


def orientation(contents: tf.Tensor, start: tf.Tensor | int = 0) -> tf.Tensor:
    """The orientation in Exif data, which are a header and a directory of tags as in TIFF files.

    Args:
        contents: A scalar string. The data may be cut off, and anything may follow them.
        start: Position in it at which the data begin.

    Returns:
        int64, 1 to 8; 1 for an image that is upright, or if it is not known.
    """
    is_named = tf.reduce_all(numbers(contents, start, 6) == [*b"Exif\0\0"])
    tiff = numbers(contents, tf.where(is_named, start + 6, start), _SEARCHED)
    is_big = tf.reduce_all(tiff[:4] == [*b"MM\0*"])
    is_tiff = is_big | tf.reduce_all(tiff[:4] == [*b"II*\0"])

    def number(digits: tf.Tensor) -> tf.Tensor:
        return tf.where(is_big, big_endian(digits), little_endian(digits))

    first = tf.minimum(number(tiff[4:8]) + 2, _SEARCHED)
    count = number(tf.slice(tiff, [first - 2], [2]))
    count = tf.minimum(count, (_SEARCHED - first) // 12)
    entries = tf.reshape(tiff[first : first + 12 * count], [-1, 12])
    tag, kind, length = number(entries[:, :2]), number(entries[:, 2:4]), number(entries[:, 4:8])
    values = tf.stack([entries[:, 8], number(entries[:, 8:10]), number(entries[:, 8:12])], axis=1)
    of_kind = kind[:, None] == [_BYTE, _SHORT, _LONG]
    values = tf.reduce_sum(tf.where(of_kind, values, 0), axis=1)
    is_here = is_tiff & (tag == _ORIENTATION) & (length == 1) & (values >= 1) & (values <= 8)
    return tf.concat([[1], tf.boolean_mask(values, is_here)], axis=0)[-1]
