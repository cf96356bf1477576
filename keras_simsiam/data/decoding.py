"""Decodes image files in a TensorFlow graph, which also runs on machines without this package."""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

from keras_simsiam.data.bmp import decode_bmp
from keras_simsiam.data.channels import ends_of, of_rgb, on_white
from keras_simsiam.data.exif import upright
from keras_simsiam.data.npy import MAGIC, decode_npy, is_deep_npy, npy_values
from keras_simsiam.data.parsing import branch, check, little_endian, numbers
from keras_simsiam.data.png import decode_png, is_deep_png, png_values
from keras_simsiam.pixels import Pixels

MAX_PIXELS = 178_956_970
"""Larger images are refused, so that a header cannot make TensorFlow allocate any amount of memory.
It is Pillow's limit, and TensorFlow's for a JPEG."""

_EXIF_WITHIN = 2**16  # bytes of a file; cameras write Exif data first


_CONTENTS = tf.TensorSpec([], tf.string)
_RGB = Pixels()


def decode(contents: tf.Tensor, pixels: Pixels = _RGB, arrays: bool = True) -> tf.Tensor:
    """Decodes a JPEG, PNG, BMP or .npy, or the first frame of a GIF or WebP.

    With three channels, grayscale, palette and CMYK images become RGB. What is transparent is laid
    on white. JPEG, PNG and WebP are turned upright as their Exif data say. Values of more than 8
    bits are scaled from the range of `pixels`; where it has none, from 0 to the largest of their
    type, and floats from 0 to 1.

    Args:
        contents: The file's bytes, a scalar string tensor.
        pixels: The number of channels, and the range.
        arrays: Whether it may be a .npy file, which takes a second to prepare for.

    Returns:
        uint8 ``[H, W, C]``.

    Raises:
        tf.errors.InvalidArgumentError: If the file is damaged or cut off, has another format or
            another number of channels, or more than `MAX_PIXELS` pixels.
    """
    return _decoder(pixels.channels, arrays)(contents, ends_of(pixels))


def examine(contents: tf.Tensor, pixels: Pixels = _RGB, arrays: bool = True) -> tf.Tensor:
    """Reads a file as far as anything in it can make `decode` fail.

    That is all of it. But of a JPEG, the pixels are only computed at an eighth of their size, which
    takes half of the time: what can be damaged is what they are computed from.

    Args:
        contents: See `decode`.
        pixels: See `decode`.
        arrays: See `decode`.

    Returns:
        int32 ``[2]``: height and width of what `decode` returns.

    Raises:
        tf.errors.InvalidArgumentError: As `decode` does.
    """
    return tf.cond(
        tf.io.is_jpeg(contents) & (pixels.channels in (1, 3)),
        lambda: _examined_jpeg(contents),
        lambda: tf.shape(decode(contents, pixels, arrays))[:2],
    )


@functools.cache
def deep_values(channels: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from the contents of a file to its values, float32 ``[H, W, channels]``.

    They are not scaled. Of a file with 8 bits there are none, ``[0, 0, channels]``.
    """

    @functools.partial(tf.function, input_signature=[_CONTENTS], autograph=False)
    def read(contents: tf.Tensor) -> tf.Tensor:
        header = numbers(contents, 0, 30)

        def none() -> tf.Tensor:
            return tf.zeros([0, 0, channels])

        def npy() -> tf.Tensor:
            return tf.cond(
                is_deep_npy(contents), lambda: npy_values(contents, channels, MAX_PIXELS), none
            )

        def png() -> tf.Tensor:
            return png_values(contents, header, channels, MAX_PIXELS)

        found = tf.case([(is_deep_png(header), png), (_has(header, MAGIC), npy)], none)
        return tf.ensure_shape(found, [None, None, channels])

    return read


# Traced once for all pipelines, without AutoGraph, which would take seconds.
@functools.cache
def _decoder(channels: int, arrays: bool) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    signature = [_CONTENTS, tf.TensorSpec([2, channels])]

    # Not inlined, because each operation of a graph takes time, even in a branch that is not taken.
    @branch(*signature)
    def other(contents: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
        header = numbers(contents, 0, 30)

        def png() -> tf.Tensor:
            image = decode_png(contents, header, ends, MAX_PIXELS)
            return upright(image, _start(contents), b"eXIf")

        def npy() -> tf.Tensor:
            return decode_npy(contents, ends, MAX_PIXELS)

        formats = [(_has(header, b"\x89PNG"), png)]
        if arrays:
            formats.append((_has(header, MAGIC), npy))
        return tf.case(formats, lambda: of_rgb(_rgb(contents, header), channels))

    @functools.partial(tf.function, input_signature=signature, autograph=False)
    def decoder(contents: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
        def jpeg() -> tf.Tensor:
            return of_rgb(_jpeg(contents), channels)

        image = tf.cond(tf.io.is_jpeg(contents), jpeg, lambda: other(contents, ends))
        return tf.ensure_shape(image, [None, None, channels])

    return decoder


def _examined_jpeg(contents: tf.Tensor) -> tf.Tensor:
    sides = tf.image.extract_jpeg_shape(contents)[:2]
    height, width = tf.unstack(tf.cast(sides, tf.int64))
    reduced = tf.io.decode_jpeg(_bounded(contents, height, width), 3, ratio=8)
    sides = check(sides, tf.reduce_all(tf.shape(reduced)[:2] == (sides + 7) // 8), "a wrong size")
    # Whether the image lies on its side shows in one that is higher than it is wide.
    lying = upright(tf.zeros([2, 1, 3], tf.uint8), _start(contents), b"Exif\0\0")
    return tf.where(tf.shape(lying)[0] == 1, sides[::-1], sides)


def _jpeg(contents: tf.Tensor) -> tf.Tensor:
    # Pillow, and so torchvision, uses the accurate transform.
    image = tf.io.decode_jpeg(contents, 3, dct_method="INTEGER_ACCURATE")
    return upright(image, _start(contents), b"Exif\0\0")


def _rgb(contents: tf.Tensor, header: tf.Tensor) -> tf.Tensor:
    """A GIF, BMP or WebP as uint8 ``[H, W, 3]``."""

    def gif() -> tf.Tensor:
        height, width = little_endian(header[8:10]), little_endian(header[6:8])
        sized = _bounded(contents, height, width)
        return tf.io.decode_image(sized, 3, expand_animations=False)

    formats = [
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
    image = tf.io.decode_image(sized, expand_animations=False)
    image = tf.cond(
        tf.shape(image)[2] == 4,
        lambda: tf.cast(on_white(tf.cast(image, tf.float32), 255.0), tf.uint8),
        lambda: image[..., :3],
    )
    return tf.cond(has_exif, lambda: upright(image, contents, b"EXIF", 4), lambda: image)


def _has(header: tf.Tensor, magic: bytes, at: int = 0) -> tf.Tensor:
    """Whether bytes, int64 ``[n]``, have the magic number of a format at a position."""
    return tf.reduce_all(header[at : at + len(magic)] == [*magic])


def _start(contents: tf.Tensor) -> tf.Tensor:
    """The part of a file that is searched for Exif data."""
    return tf.strings.substr(contents, 0, _EXIF_WITHIN)


def _bounded(contents: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """The contents; decoding fails if the image has too many pixels."""
    return check(contents, height * width <= MAX_PIXELS, f"more than {MAX_PIXELS:,} pixels")
