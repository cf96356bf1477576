"""Pixel operations of SimSiam's augmentation: explicit parameters in, pixels out.

Every function here is deterministic and works on a whole batch at once, each image with its own
parameter. Shapes are static, and XLA compiles each operation on its own, on the host inside
`tf.data` as on an accelerator: compiled as one, they are slower, because XLA's compiler for CPUs
then computes a pixel anew for each of the later operations that reads it.

Images are *planes*: float32 ``[B, 3, H, W]`` with values in [0, 1]. Channels come first because
neighbours in memory then have the same thing done to them, whatever the operation. `to_planes` and
`to_images` convert from and to the usual uint8 ``[B, H, W, 3]``.

The reference for each operation is torchvision's, which the paper's authors used:
``tests/augment/test_ops.py`` holds ours against its numbers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import tensorflow as tf

_compiled = functools.partial(tf.function, jit_compile=True, autograph=False)

# torchvision's luma weights (rgb_to_grayscale), also used by contrast and saturation.
_LUMA = (0.2989, 0.587, 0.114)

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
"""The four colour operations as `color_jitter` numbers them."""


@_compiled
def to_planes(images: tf.Tensor) -> tf.Tensor:
    """uint8 images ``[B, H, W, 3]`` to float32 planes ``[B, 3, H, W]`` in [0, 1]."""
    return tf.transpose(tf.cast(images, tf.float32) / 255.0, [0, 3, 1, 2])


@_compiled
def to_images(planes: tf.Tensor) -> tf.Tensor:
    """Planes ``[B, 3, H, W]`` to images ``[B, H, W, 3]``, the values as they are."""
    return tf.transpose(planes, [0, 2, 3, 1])


@_compiled
def flip(planes: tf.Tensor, mirrored: tf.Tensor) -> tf.Tensor:
    """Mirrors images ``[B, 3, H, W]`` from left to right where bool ``[B]`` says so."""
    return tf.where(mirrored[:, None, None, None], planes[..., ::-1], planes)


def resized_crop(planes: tf.Tensor, box: tf.Tensor, size: int, flip: tf.Tensor) -> tf.Tensor:
    """Crops a box from each image and resizes it with Pillow's antialiased bilinear filter.

    Args:
        planes: float32 ``[B, 3, H, W]``.
        box: float32 ``[B, 4]``, top, left, height and width of the crop in pixels.
        size: Side of the square result in pixels.
        flip: bool ``[B]``, whether to mirror the result left to right.

    Returns:
        float32 ``[B, 3, size, size]``.
    """
    shortened = _resize_rows(planes, box[:, 0], box[:, 2], size)  # [B, 3, size, W]
    # Whole rows are gathered fast and single pixels slowly, so columns become rows.
    columns = tf.transpose(shortened, [0, 1, 3, 2])
    return tf.transpose(_resize_rows(columns, box[:, 1], box[:, 3], size, flip), [0, 1, 3, 2])


def color_jitter(planes: tf.Tensor, factors: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """Brightness, contrast, saturation and hue in an order of its own for each image.

    Args:
        planes: float32 ``[B, 3, H, W]`` in [0, 1].
        factors: float32 ``[B, 4]``: brightness, contrast and saturation factors (1 changes
            nothing) and the hue shift in turns (0 changes nothing; torchvision's range is ±0.5).
        order: int32 ``[B, 4]``, a permutation of `BRIGHTNESS`, `CONTRAST`, `SATURATION`, `HUE`.

    Returns:
        float32 ``[B, 3, H, W]`` in [0, 1]; after each operation values are clipped to that range.
    """
    # Hue costs as much as all others together, so it is done once, between those of the four slots
    # that come before it, which the last cannot, and those that come after, which the first cannot.
    slot_of_hue = tf.argmax(tf.cast(order == HUE, tf.int32), axis=1, output_type=tf.int32)
    before = tf.range(3)[None, :] < slot_of_hue[:, None]
    after = tf.range(1, 4)[None, :] > slot_of_hue[:, None]
    planes = _blends(planes, factors, order[:, :3], before)
    planes = shift_hue(planes, factors[:, HUE, None, None, None])
    return _blends(planes, factors, order[:, 1:], after)


@_compiled
def shift_hue(planes: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Turns the hue of each image, leaving HSV's saturation and value as they are.

    Args:
        planes: float32 ``[B, 3, H, W]`` in [0, 1].
        shift: float32 ``[B, 1, 1, 1]`` in turns: 1/3 makes red green.

    Returns:
        float32 ``[B, 3, H, W]`` in [0, 1].
    """
    red, green, blue = tf.unstack(planes, axis=1)
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    inverse = 1.0 / tf.where(chroma > 0, chroma, tf.ones_like(chroma))
    # Not by equality with `value`: a compiler may compute that from channels rounded otherwise.
    sextant = tf.where(
        (red >= green) & (red >= blue),
        (green - blue) * inverse,
        tf.where(green >= blue, 2.0 + (blue - red) * inverse, 4.0 + (red - green) * inverse),
    )
    sextant += 6.0 * shift[:, 0]
    # Going round the hue circle, a channel falls from `value` to `value - chroma` and rises
    # again; red, green and blue do the same a third of a turn apart (HSV in closed form).
    channels = []
    for offset in (5.0, 3.0, 1.0):
        k = sextant + offset
        k -= 6.0 * tf.floor(k / 6.0)
        channels.append(value - chroma * tf.clip_by_value(tf.minimum(k, 4.0 - k), 0.0, 1.0))
    return tf.stack(channels, axis=1)


@_compiled
def grayscale(planes: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    """The gray of each pixel in all three channels, for some of the images.

    Args:
        planes: float32 ``[B, 3, H, W]``.
        where: bool ``[B]``, which images become gray.

    Returns:
        float32 ``[B, 3, H, W]``.
    """
    gray = _luma(tf.unstack(planes, axis=1))[:, None]
    return tf.where(where[:, None, None, None], gray, planes)


@_compiled
def gaussian_blur(planes: tf.Tensor, sigma: tf.Tensor, max_sigma: float) -> tf.Tensor:
    """Gaussian blur with the image's border repeated outwards, as Pillow does.

    Args:
        planes: float32 ``[B, 3, H, W]``.
        sigma: float32 ``[B]``, standard deviation in pixels; 0 leaves an image as it is.
        max_sigma: The largest sigma that can occur; the kernel is cut at three times that.

    Returns:
        float32 ``[B, 3, H, W]``.
    """
    radius = max(1, int(3.0 * max_sigma + 0.5))
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
    # sigma 0 must give the identity without dividing by zero.
    kernel = tf.exp(-0.5 * tf.square(offsets / tf.maximum(sigma, 1e-3)[:, None]))
    kernel /= tf.reduce_sum(kernel, axis=1, keepdims=True)
    weights = tf.unstack(kernel[:, :, None, None, None], axis=1)
    height, width = planes.shape[2:]
    above, below = (tf.repeat(planes[:, :, i : i + 1], radius, 2) for i in (0, height - 1))
    padded = tf.concat([above, planes, below], axis=2)
    planes = sum(w * padded[:, :, i : i + height] for i, w in enumerate(weights))
    left, right = (tf.repeat(planes[..., i : i + 1], radius, 3) for i in (0, width - 1))
    padded = tf.concat([left, planes, right], axis=3)
    return sum(w * padded[..., i : i + width] for i, w in enumerate(weights))


@_compiled
def normalize(planes: tf.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> tf.Tensor:
    """Subtracts the mean and divides by the standard deviation of each channel."""
    mean, std = (tf.reshape(tf.constant(v, tf.float32), [1, 3, 1, 1]) for v in (mean, std))
    return (planes - mean) / std


@_compiled
def _blends(planes: tf.Tensor, factors: tf.Tensor, order: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    """All of `color_jitter` but hue, in those of some slots, ``[B, 3]``, that `where` says."""
    channels = tf.unstack(planes, axis=1)
    for which, now in zip(tf.unstack(order, axis=1), tf.unstack(where, axis=1), strict=True):
        # Each is one formula: a blend of the image with black, with its mean gray, or with its own
        # gray. Where it is not the turn of any, a factor of 1 changes nothing.
        factor = tf.where(now, tf.gather(factors, which, batch_dims=1), 1.0)
        of_mean = tf.where(which == CONTRAST, 1.0 - factor, 0.0)[:, None, None]
        of_gray = tf.where(which == SATURATION, 1.0 - factor, 0.0)[:, None, None]
        factor = factor[:, None, None]
        gray = _luma(channels)
        target = of_mean * tf.reduce_mean(gray, [1, 2], keepdims=True) + of_gray * gray
        channels = [tf.clip_by_value(factor * c + target, 0.0, 1.0) for c in channels]
    return tf.stack(channels, axis=1)


def _luma(channels: Sequence[tf.Tensor]) -> tf.Tensor:
    """The gray of red, green and blue."""
    red, green, blue = channels
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


@_compiled
def _resize_rows(
    planes: tf.Tensor,
    start: tf.Tensor,
    length: tf.Tensor,
    size: int,
    reverse: tf.Tensor | None = None,
) -> tf.Tensor:
    """Resizes a stretch of the rows of each image, ``[B, 3, H, W]``, to ``[B, 3, size, W]``.

    Pillow's rule: a triangle filter as wide as the scale (never narrower than one source pixel),
    centred on the target pixel, cut at the borders of the crop and normalised.
    """
    source = planes.shape[2]
    start, length = start[:, None, None], length[:, None, None]
    scale = length / size
    reach = tf.maximum(scale, 1.0)
    centre = start + (tf.range(size, dtype=tf.float32)[None, :, None] + 0.5) * scale
    # As many source pixels as can lie within reach, from the first that may.
    taps = math.ceil(2 * max(source / size, 1.0))
    pixel = tf.math.ceil(centre - 0.5 - reach) + tf.range(taps, dtype=tf.float32)
    weight = tf.nn.relu(1.0 - tf.abs(pixel + 0.5 - centre) / reach)
    weight = tf.where((pixel >= start) & (pixel < start + length), weight, 0.0)
    weight /= tf.reduce_sum(weight, axis=2, keepdims=True)
    pixel = tf.cast(tf.clip_by_value(pixel, 0.0, source - 1.0), tf.int32)
    if reverse is not None:
        pixel, weight = (tf.where(reverse[:, None, None], t[:, ::-1], t) for t in (pixel, weight))
    return sum(
        tf.gather(planes, pixel[:, :, i], axis=2, batch_dims=1) * weight[:, None, :, i, None]
        for i in range(taps)
    )
