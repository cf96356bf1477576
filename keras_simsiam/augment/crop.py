"""Random resized crop and flip, torchvision's RandomResizedCrop and RandomHorizontalFlip.

They are one operation because a flip costs nothing while the crop gathers its pixels.
"""

from __future__ import annotations

import math
from typing import ClassVar

import tensorflow as tf

from keras_simsiam.augment.operation import Operation
from keras_simsiam.augment.planes import compiled
from keras_simsiam.augmentation import Augmentation

_TRIES = 10  # like torchvision, which takes the center if none of ten boxes fits


class Crop(Operation):
    """Crops a box of random area, ratio and place, resizes it to the view's size, maybe flips it.

    Parameters:
        box: float32 ``[B, 4]``, top, left, height and width in pixels of the source; missing if
            the images are crops already.
        flip: bool ``[B]``, whether to mirror left to right.
    """

    name = "crop"
    numbers: ClassVar = {"area": _TRIES, "ratio": _TRIES, "corner": 2, "flip": 1}

    def occurs(self, augmentation):
        """Always, because views must be square and of one size."""
        return True

    def draw(self, augmentation, numbers, height, width):
        """Draws flips and boxes."""
        flip = {"flip": numbers["flip"][:, 0] < augmentation.flip_probability}
        if height is None:
            return flip
        drawn = proportions(augmentation, numbers)
        return {"box": self.box(augmentation, drawn, height, width), **flip}

    def box(
        self,
        augmentation: Augmentation,
        drawn: tf.Tensor,
        height: tf.Tensor | float,
        width: tf.Tensor | float,
    ) -> tf.Tensor:
        """The box of each image: the first of ten that fits into it, else the center.

        Args:
            augmentation: The distributions.
            drawn: float32 ``[B, 22]``, from `proportions`.
            height: Height of the images in pixels, a number or float32 ``[B]``.
            width: Their width.

        Returns:
            float32 ``[B, 4]``, top, left, height and width in pixels.
        """
        height, width = (
            tf.broadcast_to(tf.cast(v, tf.float32), tf.shape(drawn)[:1])[:, None]
            for v in (height, width)
        )
        narrow, broad = augmentation.crop_ratio
        share, ratio, place = tf.split(drawn, [_TRIES, _TRIES, 2], axis=1)
        area = height * width * share
        w, h = tf.round(tf.sqrt(area * ratio)), tf.round(tf.sqrt(area / ratio))
        fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
        # If none fits: the largest centered box whose ratio is allowed.
        center_w = tf.minimum(width, tf.round(height * broad))
        center_h = tf.minimum(height, tf.round(width / narrow))
        first = tf.argmax(fits, axis=1, output_type=tf.int32)
        found = tf.reduce_any(fits, axis=1, keepdims=True)
        w = tf.where(found, tf.gather(w, first, batch_dims=1)[:, None], center_w)
        h = tf.where(found, tf.gather(h, first, batch_dims=1)[:, None], center_h)
        # An integer from 0 to room, each equally likely; the minimum guards against a number so
        # near 1 that float32 rounds the product up.
        room = tf.concat([height - h, width - w], axis=1)
        corner = tf.minimum(tf.floor(place * (room + 1.0)), room)
        corner = tf.where(found, corner, tf.floor(room / 2.0))
        return tf.concat([corner, h, w], axis=1)

    def apply(self, augmentation, planes, parameters, size):
        """Crops and flips the images; those that are crops already are only flipped."""
        if "box" not in parameters:
            return mirror(planes, parameters["flip"])
        return resized_crop(planes, parameters["box"], size, parameters["flip"])


def proportions(augmentation: Augmentation, numbers: dict[str, tf.Tensor]) -> tf.Tensor:
    """What can be drawn of a crop before the size of the image is known.

    Args:
        augmentation: The distributions.
        numbers: The uniform numbers of `Crop`, float32 ``[B, count]`` each.

    Returns:
        float32 ``[B, 22]``: ten shares of the image's area, ten ratios of width to height, and the
        place of the box's top left corner as two shares of the room that the box leaves.
    """
    (low, high), (narrow, broad) = augmentation.crop_area, augmentation.crop_ratio
    log_narrow, log_broad = math.log(narrow), math.log(broad)
    share = low + (high - low) * numbers["area"]
    ratio = tf.exp(log_narrow + (log_broad - log_narrow) * numbers["ratio"])
    return tf.concat([share, ratio, numbers["corner"]], axis=1)


def resized_crop(planes: tf.Tensor, box: tf.Tensor, size: int, flip: tf.Tensor) -> tf.Tensor:
    """Crops a box from each image and resizes it with Pillow's antialiased bilinear filter.

    Args:
        planes: float32 ``[B, C, H, W]``.
        box: float32 ``[B, 4]``, top, left, height and width of the crop in pixels.
        size: Side of the square result in pixels.
        flip: bool ``[B]``, whether to mirror the result left to right.

    Returns:
        float32 ``[B, C, size, size]``.
    """
    shortened = _resize_rows(planes, box[:, 0], box[:, 2], size)  # [B, C, size, W]
    # Gathering rows is fast and gathering single pixels is slow, so columns become rows.
    columns = tf.transpose(shortened, [0, 1, 3, 2])
    return tf.transpose(_resize_rows(columns, box[:, 1], box[:, 3], size, flip), [0, 1, 3, 2])


@compiled
def mirror(planes: tf.Tensor, flip: tf.Tensor) -> tf.Tensor:
    """Mirrors images ``[B, C, H, W]`` left to right where bool ``[B]`` is true."""
    return tf.where(flip[:, None, None, None], planes[..., ::-1], planes)


def crop_image(image: tf.Tensor, box: tf.Tensor, size: int) -> tf.Tensor:
    """Crops one image of any size, for sources whose images cannot be batched uncropped.

    Args:
        image: uint8 ``[H, W, C]``.
        box: int32 ``[4]``, top, left, height and width of the crop in pixels.
        size: Side of the square result in pixels.

    Returns:
        uint8 ``[size, size, C]``.
    """
    top, left, height, width = tf.unstack(box)
    crop = image[top : top + height, left : left + width]
    resized = tf.image.resize(crop, [size, size], antialias=True)
    return tf.cast(tf.round(resized), tf.uint8)


@compiled
def _resize_rows(
    planes: tf.Tensor,
    start: tf.Tensor,
    length: tf.Tensor,
    size: int,
    reverse: tf.Tensor | None = None,
) -> tf.Tensor:
    """Resizes a range of the rows of each image, ``[B, C, H, W]``, to ``[B, C, size, W]``.

    Pillow's rule: a triangle filter as wide as the scale (at least one source pixel), centered on
    the target pixel, cut at the borders of the crop and normalized.
    """
    source = planes.shape[2]
    start, length = start[:, None, None], length[:, None, None]
    scale = length / size
    reach = tf.maximum(scale, 1.0)
    center = start + (tf.range(size, dtype=tf.float32)[None, :, None] + 0.5) * scale
    # As many source pixels as can lie within reach, from the first that may.
    taps = math.ceil(2 * max(source / size, 1.0))
    pixel = tf.math.ceil(center - 0.5 - reach) + tf.range(taps, dtype=tf.float32)
    weight = tf.nn.relu(1.0 - tf.abs(pixel + 0.5 - center) / reach)
    weight = tf.where((pixel >= start) & (pixel < start + length), weight, 0.0)
    weight /= tf.reduce_sum(weight, axis=2, keepdims=True)
    pixel = tf.cast(tf.clip_by_value(pixel, 0.0, source - 1.0), tf.int32)
    if reverse is not None:
        pixel, weight = (tf.where(reverse[:, None, None], t[:, ::-1], t) for t in (pixel, weight))
    return sum(
        tf.gather(planes, pixel[:, :, i], axis=2, batch_dims=1) * weight[:, None, :, i, None]
        for i in range(taps)
    )
