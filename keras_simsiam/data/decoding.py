"""Decoding image files, and finding those that cannot be decoded before the training."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from keras_simsiam.errors import InputError

MAX_UNREADABLE = 0.01
"""The largest share of unreadable files that is left out with a warning."""

_SHOWN = 10


def decode(contents: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG, PNG, GIF (first frame), BMP or WebP to uint8 ``[H, W, 3]``.

    Grayscale, palette, CMYK and 16-bit images become RGB uint8; an alpha channel is dropped.

    Args:
        contents: The file's bytes, a scalar string tensor.
    """
    contents = tf.convert_to_tensor(contents)
    # TensorFlow decodes the pixels of a BMP with a palette, but not the palette.
    is_palette_bmp = (tf.strings.substr(contents, 0, 2) == b"BM") & (
        tf.strings.substr(contents, 28, 2) == b"\x08\x00"
    )
    # Pillow, and so torchvision, uses the accurate transform.
    jpeg = partial(tf.io.decode_jpeg, contents, 3, dct_method="INTEGER_ACCURATE")
    palette_bmp = partial(_decode_palette_bmp, contents)
    other = partial(tf.io.decode_image, contents, channels=3, expand_animations=False)
    image = tf.case([(tf.io.is_jpeg(contents), jpeg), (is_palette_bmp, palette_bmp)], other)
    return tf.ensure_shape(image, [None, None, 3])


def _decode_palette_bmp(contents: tf.Tensor) -> tf.Tensor:
    """Decodes a BMP of 8 bits per pixel: indices into a table of blue, green, red, unused."""
    header = 14 + tf.io.decode_raw(tf.strings.substr(contents, 14, 4), tf.int32)[0]
    start = tf.io.decode_raw(tf.strings.substr(contents, 10, 4), tf.int32)[0]
    palette = tf.io.decode_raw(tf.strings.substr(contents, header, start - header), tf.uint8)
    palette = tf.reshape(palette, [-1, 4])[:, 2::-1]
    return tf.gather(palette, tf.cast(tf.io.decode_bmp(contents)[..., 0], tf.int32))


def read_images(
    names: Sequence[str], items: tf.Tensor, read: Callable, side: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes images of one size into memory, without those that cannot be read.

    Args:
        names: Names of the images for messages.
        items: string ``[N]``, arguments of `read`: contents or paths.
        read: From one item to uint8 ``[H, W, 3]``.
        side: Height and width that all must have.

    Returns:
        Images uint8 ``[n, H, W, 3]``, and their positions among the names, int64 ``[n]``.

    Raises:
        InputError: If more than 1% cannot be read.
    """
    images = np.empty((len(names), *side, 3), np.uint8)
    kept: list[int] = []

    def read_checked(item: tf.Tensor) -> tf.Tensor:
        image = read(item)
        tf.debugging.assert_equal(tf.shape(image)[:2], side, message=f"image size must be {side}")
        return image

    for position, image in readable(names, items, read_checked):
        images[len(kept)] = image
        kept.append(position)
    return images[: len(kept)], np.array(kept)


def readable(names: Sequence[str], items: tf.Tensor, read: Callable) -> Iterator[tuple[int, Any]]:
    """Yields what `read` returns for each item, in order, skipping those on which it fails.

    One warning at the end counts and names those.

    Args:
        names: Names of the items for messages.
        items: A tensor with one row per name.
        read: A function of one item that TensorFlow can trace.

    Yields:
        Position and result, as NumPy.

    Raises:
        InputError: At the end, if more than 1% failed.
    """
    dataset = tf.data.Dataset.from_tensor_slices(items).enumerate()
    dataset = dataset.map(lambda i, item: (i, read(item)), tf.data.AUTOTUNE).ignore_errors()
    failed = set(range(len(names)))
    for position, result in dataset.as_numpy_iterator():
        failed.discard(int(position))
        yield int(position), result
    if not failed:
        return
    shown = [f"{names[i]} ({_cause(read, items[i])})" for i in sorted(failed)[:_SHOWN]]
    listed = "; ".join(shown + ["…"] * (len(failed) > _SHOWN))
    message = f"{len(failed):,} of {len(names):,} images cannot be read: {listed}"
    if len(failed) > MAX_UNREADABLE * len(names):
        raise InputError(f"{message}. At most 1% may be left out; repair or remove them")
    warnings.warn(f"{message}. They are left out", stacklevel=2)


def _cause(read: Callable, item: tf.Tensor) -> str:
    """A short reason why reading an item fails."""
    try:
        read(item)
    except (tf.errors.OpError, ValueError) as e:
        # Strip TensorFlow's "{{function_node …}}" prefix and "[Op:…]" suffix.
        first = str(e).strip().split("\n")[0]
        return re.sub(r"\{\{.*?\}\}|\[Op:.*", "", first).strip()[:120]
    return "unreadable at first, readable now"
