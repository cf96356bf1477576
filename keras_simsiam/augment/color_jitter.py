"""Random brightness, contrast, saturation and hue, torchvision's ColorJitter."""

from __future__ import annotations

from typing import ClassVar

import tensorflow as tf

from keras_simsiam.augment.operation import Operation
from keras_simsiam.augment.planes import compiled, luma

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
"""Numbers of the four color operations."""


class ColorJitter(Operation):
    """Changes brightness, contrast, saturation and hue by random factors, in random order.

    Parameters:
        factors: float32 ``[B, 4]``, see `color_jitter`; (1, 1, 1, 0) changes nothing.
        order: int32 ``[B, 4]``, a permutation.
    """

    name = "color_jitter"
    probability = "jitter_probability"
    numbers: ClassVar = {"jitter": 1, "factors": 4, "order": 4}

    def draw(self, augmentation, numbers, height, width):
        """Draws factors from [max(0, 1 - s), 1 + s] and the hue shift from [-s, s]."""
        a = augmentation
        jitter = numbers["jitter"][:, 0] < a.jitter_probability
        strength = tf.constant([a.brightness, a.contrast, a.saturation, a.hue])
        neutral = tf.constant([1.0, 1.0, 1.0, 0.0])
        lowest = tf.concat([tf.maximum(neutral[:3] - strength[:3], 0.0), -strength[3:]], 0)
        factors = lowest + (neutral + strength - lowest) * numbers["factors"]
        return {
            "factors": tf.where(jitter[:, None], factors, neutral),
            # The ranks of four independent uniforms are a uniform permutation.
            "order": tf.argsort(numbers["order"], axis=1),
        }

    def apply(self, augmentation, planes, parameters, size):
        """Changes the colors."""
        return color_jitter(planes, parameters["factors"], parameters["order"])


def color_jitter(planes: tf.Tensor, factors: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """Changes brightness, contrast, saturation and hue, in a different order for each image.

    Args:
        planes: float32 ``[B, 3, H, W]`` in [0, 1].
        factors: float32 ``[B, 4]``: factors of brightness, contrast and saturation (1 changes
            nothing) and the hue shift in turns (0 changes nothing; torchvision's range is ±0.5).
        order: int32 ``[B, 4]``, a permutation of `BRIGHTNESS`, `CONTRAST`, `SATURATION`, `HUE`.

    Returns:
        float32 ``[B, 3, H, W]`` in [0, 1]; values are clipped to that range after each operation.
    """
    # Hue costs as much as the other three together, so it is computed once for all images, whatever
    # its slot in their order: after the other operations in slots before it (at most the first
    # three) and before those in slots after it (at most the last three).
    slot_of_hue = tf.argmax(tf.cast(order == HUE, tf.int32), axis=1, output_type=tf.int32)
    before = tf.range(3)[None, :] < slot_of_hue[:, None]
    after = tf.range(1, 4)[None, :] > slot_of_hue[:, None]
    planes = _blends(planes, factors, order[:, :3], before)
    planes = shift_hue(planes, factors[:, HUE, None, None, None])
    return _blends(planes, factors, order[:, 1:], after)


@compiled
def shift_hue(planes: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Rotates the hue of each image; HSV's saturation and value are unchanged.

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
    # Not by equality with `value`, which a compiler may compute from differently rounded channels.
    sextant = tf.where(
        (red >= green) & (red >= blue),
        (green - blue) * inverse,
        tf.where(green >= blue, 2.0 + (blue - red) * inverse, 4.0 + (red - green) * inverse),
    )
    sextant += 6.0 * shift[:, 0]
    # Around the hue circle, a channel falls from `value` to `value - chroma` and rises again;
    # red, green and blue do the same a third of a turn apart (HSV in closed form).
    channels = []
    for offset in (5.0, 3.0, 1.0):
        k = sextant + offset
        k -= 6.0 * tf.floor(k / 6.0)
        channels.append(value - chroma * tf.clip_by_value(tf.minimum(k, 4.0 - k), 0.0, 1.0))
    return tf.stack(channels, axis=1)


@compiled
def _blends(planes: tf.Tensor, factors: tf.Tensor, order: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    """Applies the operations other than hue in three slots of the order, where `where` is true.

    Args:
        planes: float32 ``[B, 3, H, W]`` in [0, 1].
        factors: float32 ``[B, 4]``, see `color_jitter`.
        order: int32 ``[B, 3]``, the operation in each slot.
        where: bool ``[B, 3]``, whether to apply it.
    """
    channels = tf.unstack(planes, axis=1)
    for which, now in zip(tf.unstack(order, axis=1), tf.unstack(where, axis=1), strict=True):
        # All three are one formula: a blend of the image with black, with its mean gray, or with
        # its own gray. A factor of 1 changes nothing.
        factor = tf.where(now, tf.gather(factors, which, batch_dims=1), 1.0)
        of_mean = tf.where(which == CONTRAST, 1.0 - factor, 0.0)[:, None, None]
        of_gray = tf.where(which == SATURATION, 1.0 - factor, 0.0)[:, None, None]
        factor = factor[:, None, None]
        gray = luma(channels)
        target = of_mean * tf.reduce_mean(gray, [1, 2], keepdims=True) + of_gray * gray
        channels = [tf.clip_by_value(factor * c + target, 0.0, 1.0) for c in channels]
    return tf.stack(channels, axis=1)
