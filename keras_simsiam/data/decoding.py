"""Decodes image files in a TensorFlow graph, which also runs on machines without this package."""

from __future__ import annotations

import functools

import tensorflow as tf

from keras_simsiam.data.bmp import decode_bmp
from keras_simsiam.data.exif import upright
from keras_simsiam.data.parsing import big_endian, branch, check, little_endian, numbers

MAX_PIXELS = 178_956_970
"""Larger images are refused, so that a header cannot make TensorFlow allocate any amount of memory.
It is Pillow's limit, and TensorFlow's for a JPEG."""

_EXIF_WITHIN = 2**16  # bytes of a file; cameras write Exif data first


# Traced once for all pipelines, without AutoGraph, which would take seconds.
@functools.partial(tf.function, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def decode(contents: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG, PNG or BMP, or the first frame of a GIF or WebP, to uint8 ``[H, W, 3]``.

    Grayscale, palette, CMYK and 16-bit images become RGB uint8; an alpha channel is dropped. JPEG,
    PNG and WebP are turned upright as their Exif data say.

    Args:
        contents: The file's bytes, a scalar string tensor.

    Raises:
        tf.errors.InvalidArgumentError: If the file is damaged or cut off, has another format, or
            more than `MAX_PIXELS` pixels.
    """
    image = tf.cond(tf.io.is_jpeg(contents), lambda: _jpeg(contents), lambda: _other(contents))
    return tf.ensure_shape(image, [None, None, 3])


def examine(contents: tf.Tensor) -> tf.Tensor:
    """Reads a file as far as anything in it can make `decode` fail.

    That is all of it. But of a JPEG, the pixels are only computed at an eighth of their size, which
    takes half of the time: what can be damaged is what they are computed from.

    Args:
        contents: See `decode`.

    Returns:
        int32 ``[3]``: height and width of what `decode` returns, and how many of 256 levels an
        image of 16 bits uses, 0 for one of 8 bits.

    Raises:
        tf.errors.InvalidArgumentError: As `decode` does.
    """
    return tf.cond(
        tf.io.is_jpeg(contents), lambda: _examined_jpeg(contents), lambda: _examined(contents)
    )


def _examined_jpeg(contents: tf.Tensor) -> tf.Tensor:
    sides = tf.image.extract_jpeg_shape(contents)[:2]
    height, width = tf.unstack(tf.cast(sides, tf.int64))
    reduced = tf.io.decode_jpeg(_bounded(contents, height, width), 3, ratio=8)
    sides = check(sides, tf.reduce_all(tf.shape(reduced)[:2] == (sides + 7) // 8), "a wrong size")
    # Whether the image lies on its side shows in one that is higher than it is wide.
    lying = upright(
        tf.zeros([2, 1, 3], tf.uint8), tf.strings.substr(contents, 0, _EXIF_WITHIN), b"Exif\0\0"
    )
    sides = tf.where(tf.shape(lying)[0] == 1, sides[::-1], sides)
    return tf.concat([sides, [0]], axis=0)


@branch(tf.TensorSpec([], tf.string))
def _examined(contents: tf.Tensor) -> tf.Tensor:
    image = decode(contents)
    is_deep = (tf.strings.substr(contents, 0, 4) == b"\x89PNG") & (
        tf.strings.substr(contents, 24, 1) == b"\x10"
    )
    levels = tf.cond(is_deep, lambda: tf.cast(tf.reduce_max(image), tf.int32) + 1, lambda: 0)
    return tf.concat([tf.shape(image)[:2], [levels]], axis=0)


def _jpeg(contents: tf.Tensor) -> tf.Tensor:
    # Pillow, and so torchvision, uses the accurate transform.
    image = tf.io.decode_jpeg(contents, 3, dct_method="INTEGER_ACCURATE")
    return upright(image, tf.strings.substr(contents, 0, _EXIF_WITHIN), b"Exif\0\0")


@branch(tf.TensorSpec([], tf.string))
def _other(contents: tf.Tensor) -> tf.Tensor:
    header = numbers(contents, 0, 30)

    def png() -> tf.Tensor:
        height, width = big_endian(header[20:24]), big_endian(header[16:20])
        image = tf.io.decode_png(_bounded(contents, height, width), 3)
        return upright(image, tf.strings.substr(contents, 0, _EXIF_WITHIN), b"eXIf")

    def gif() -> tf.Tensor:
        height, width = little_endian(header[8:10]), little_endian(header[6:8])
        sized = _bounded(contents, height, width)
        return tf.io.decode_image(sized, 3, expand_animations=False)

    formats = [
        (_has(header, b"\x89PNG"), png),
        (_has(header, b"GIF8"), gif),
        (_has(header, b"BM"), lambda: decode_bmp(contents, MAX_PIXELS)),
        (_has(header, b"RIFF") & _has(header, b"WEBP", 8), lambda: _webp(contents, header)),
    ]
    # For anything else, TensorFlow's error says which formats it reads.
    return tf.case(formats, lambda: tf.io.decode_image(contents, 3, expand_animations=False))


def _webp(contents: tf.Tensor, header: tf.Tensor) -> tf.Tensor:
    is_extended, is_lossless = _has(header, b"VP8X", 12), _has(header, b"VP8L", 12)
    bits = little_endian(header[21:25])
    height, width = tf.unstack(
        tf.case(
            [
                (is_extended, lambda: little_endian(tf.reshape(header[24:30], [2, 3])[::-1]) + 1),
                (is_lossless, lambda: tf.stack([bits // 2**14, bits]) % 2**14 + 1),
            ],
            lambda: little_endian(tf.reshape(header[26:30], [2, 2])[::-1]) % 2**14,
        )
    )
    flags = tf.where(is_extended, header[20], tf.zeros_like(header[20]))
    is_animation, has_exif = flags // 2 % 2 == 1, flags // 8 % 2 == 1
    # For an animation without alpha, TensorFlow allocates three channels and writes four. A header
    # that announces alpha prevents that.
    rest = tf.strings.substr(contents, 21, tf.strings.length(contents))
    with_alpha = tf.strings.substr(contents, 0, 20) + b"\x12" + rest
    sized = _bounded(tf.where(is_animation, with_alpha, contents), height, width)
    image = tf.io.decode_image(sized, expand_animations=False)[..., :3]
    return tf.cond(has_exif, lambda: upright(image, contents, b"EXIF", 4), lambda: image)


def _has(header: tf.Tensor, magic: bytes, at: int = 0) -> tf.Tensor:
    """Whether bytes, int64 ``[n]``, have the magic number of a format at a position."""
    return tf.reduce_all(header[at : at + len(magic)] == [*magic])


def _bounded(contents: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """The contents; decoding fails if the image has too many pixels."""
    return check(contents, height * width <= MAX_PIXELS, f"more than {MAX_PIXELS:,} pixels")
