"""Pixel operations of SimSiam's augmentation: explicit parameters in, pixels out.

Every function here is deterministic and works on a whole batch at once, each image with its own
parameter. They are plain TensorFlow operations with static shapes, so the same code runs on the
host inside `tf.data`, on a GPU, and under `jit_compile=True`.

Images are *planes*: float32 ``[B, 3, H, W]`` with values in [0, 1]. Channels come first because
resizing and blurring are then matrix products along the last two axes, with no transposition.
`to_planes` and `to_images` convert from and to the usual uint8 ``[B, H, W, 3]``.

The reference for each operation is torchvision's, which the paper's authors used:
``tests/augment/test_ops.py`` holds ours against its numbers.
"""

from __future__ import annotations

import tensorflow as tf

# torchvision's luma weights (rgb_to_grayscale), also used by contrast and saturation.
_LUMA = (0.2989, 0.587, 0.114)

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
"""The four colour operations as `color_jitter` numbers them."""


def to_planes(images: tf.Tensor) -> tf.Tensor:
    """uint8 images ``[B, H, W, 3]`` to float32 planes ``[B, 3, H, W]`` in [0, 1]."""
    return tf.transpose(tf.cast(images, tf.float32) / 255.0, [0, 3, 1, 2])


def to_images(planes: tf.Tensor) -> tf.Tensor:
    """Planes ``[B, 3, H, W]`` to images ``[B, H, W, 3]``, the values as they are."""
    return tf.transpose(planes, [0, 2, 3, 1])


def resized_crop(planes: tf.Tensor, box: tf.Tensor, size: int, flip: tf.Tensor) -> tf.Tensor:
    """Crops a box from each image and resizes it with Pillow's antialiased bilinear filter.

    Cropping, resizing and flipping are linear and separable, so each image needs one small matrix
    a side: ``rows @ plane @ columns^T``.

    Args:
        planes: float32 ``[B, 3, H, W]``.
        box: float32 ``[B, 4]``, top, left, height and width of the crop in pixels.
        size: Side of the square result in pixels.
        flip: bool ``[B]``, whether to mirror the result left to right.

    Returns:
        float32 ``[B, 3, size, size]``.
    """
    height, width = planes.shape[2], planes.shape[3]
    rows = _resize_matrix(box[:, 0], box[:, 2], height, size)
    columns = _resize_matrix(box[:, 1], box[:, 3], width, size)
    columns = tf.where(flip[:, None, None], columns[:, ::-1], columns)
    narrowed = tf.matmul(planes, columns[:, None], transpose_b=True)  # [B, 3, H, size]
    return tf.matmul(rows[:, None], narrowed)


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
    for slot in range(4):
        which = order[:, slot, None, None, None]
        factor = tf.gather(factors, order[:, slot], batch_dims=1)[:, None, None, None]
        gray = _luma(planes)
        # Brightness, contrast and saturation are one formula: a blend of the image with black,
        # with its mean gray, or with its own gray.
        target = tf.where(
            which == BRIGHTNESS,
            tf.zeros_like(gray),
            tf.where(which == CONTRAST, tf.reduce_mean(gray, [2, 3], keepdims=True), gray),
        )
        blended = tf.clip_by_value(factor * planes + (1.0 - factor) * target, 0.0, 1.0)
        planes = tf.where(which == HUE, shift_hue(planes, factor), blended)
    return planes


def shift_hue(planes: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Turns the hue of each image, leaving HSV's saturation and value as they are.

    Args:
        planes: float32 ``[B, 3, H, W]`` in [0, 1].
        shift: float32 ``[B, 1, 1, 1]`` in turns: 1/3 makes red green.

    Returns:
        float32 ``[B, 3, H, W]`` in [0, 1].
    """
    red, green, blue = tf.unstack(planes, axis=1)
    value = tf.reduce_max(planes, axis=1)
    chroma = value - tf.reduce_min(planes, axis=1)
    divisor = tf.where(chroma > 0, chroma, tf.ones_like(chroma))
    sextant = tf.where(
        value == red,
        (green - blue) / divisor,
        tf.where(value == green, 2.0 + (blue - red) / divisor, 4.0 + (red - green) / divisor),
    )
    sextant += 6.0 * shift[:, 0]
    # Going round the hue circle, a channel falls from `value` to `value - chroma` and rises
    # again; red, green and blue do the same a third of a turn apart (HSV in closed form).
    channels = []
    for offset in (5.0, 3.0, 1.0):
        k = tf.math.floormod(sextant + offset, 6.0)
        channels.append(value - chroma * tf.clip_by_value(tf.minimum(k, 4.0 - k), 0.0, 1.0))
    return tf.stack(channels, axis=1)


def grayscale(planes: tf.Tensor) -> tf.Tensor:
    """The gray of each pixel in all three channels: float32 ``[B, 3, H, W]`` in and out."""
    return tf.repeat(_luma(planes), 3, axis=1)


def gaussian_blur(planes: tf.Tensor, sigma: tf.Tensor, max_sigma: float) -> tf.Tensor:
    """Gaussian blur with the image's border repeated outwards, as Pillow does.

    Args:
        planes: float32 ``[B, 3, H, W]``.
        sigma: float32 ``[B]``, standard deviation in pixels; 0 leaves an image as it is.
        max_sigma: The largest sigma that can occur; the kernel is cut at three times that.

    Returns:
        float32 ``[B, 3, H, W]``.
    """
    blurred = tf.matmul(
        planes, _blur_matrix(sigma, max_sigma, planes.shape[3])[:, None], transpose_b=True
    )
    return tf.matmul(_blur_matrix(sigma, max_sigma, planes.shape[2])[:, None], blurred)


def normalize(planes: tf.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> tf.Tensor:
    """Subtracts the mean and divides by the standard deviation of each channel."""
    mean, std = (tf.reshape(tf.constant(v, tf.float32), [1, 3, 1, 1]) for v in (mean, std))
    return (planes - mean) / std


def _luma(planes: tf.Tensor) -> tf.Tensor:
    """``[B, 3, H, W]`` to ``[B, 1, H, W]``."""
    red, green, blue = tf.split(planes, 3, axis=1)
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


def _resize_matrix(start: tf.Tensor, length: tf.Tensor, source: int, target: int) -> tf.Tensor:
    """Weights ``[B, target, source]`` of an antialiased bilinear resize of part of a side.

    Pillow's rule: a triangle filter as wide as the scale (never narrower than one source pixel),
    centred on the target pixel, cut at the borders of the crop and normalised.
    """
    start, length = (v[:, None, None] for v in (start, length))
    scale = length / target
    centre = start + (tf.range(target, dtype=tf.float32)[None, :, None] + 0.5) * scale
    pixel = tf.range(source, dtype=tf.float32)[None, None, :]
    weight = tf.nn.relu(1.0 - tf.abs(pixel + 0.5 - centre) / tf.maximum(scale, 1.0))
    weight = tf.where((pixel >= start) & (pixel < start + length), weight, tf.zeros_like(weight))
    return weight / tf.reduce_sum(weight, axis=2, keepdims=True)


def _blur_matrix(sigma: tf.Tensor, max_sigma: float, side: int) -> tf.Tensor:
    """Weights ``[B, side, side]`` of a Gaussian along one side, its border pixel repeated."""
    radius = max(1, int(3.0 * max_sigma + 0.5))
    offsets = tf.range(-radius, radius + 1, dtype=tf.int32)
    # sigma 0 must give the identity without dividing by zero.
    scaled = tf.cast(offsets, tf.float32)[None, :] / tf.maximum(sigma, 1e-3)[:, None]
    kernel = tf.exp(-0.5 * tf.square(scaled))
    kernel /= tf.reduce_sum(kernel, axis=1, keepdims=True)
    reached = tf.clip_by_value(tf.range(side)[:, None] + offsets[None, :], 0, side - 1)
    return tf.einsum("bo,toi->bti", kernel, tf.one_hot(reached, side))
