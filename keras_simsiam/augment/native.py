"""Views by the compiled operations of `keras_simsiam.native`, from the same parameters.

They make one view at a time, which then stays in the processor's cache, where the functions of this
package go through a batch for each operation. They know the operations of `ORDER` only; if another
can occur, the functions of this package make the views.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from keras_simsiam.augment.operation import Parameters
from keras_simsiam.augmentation import Augmentation
from keras_simsiam.native import operations

ORDER = ("crop", "color_jitter", "grayscale", "blur")
"""The operations that `apply` knows, in its order."""


def knows(names: Sequence[str]) -> bool:
    """Whether `apply` can make views by operations of these names, in this order."""
    return operations() is not None and [n for n in ORDER if n in names] == [*names]


def uniforms(keys: tf.Tensor, views: int, count: int) -> tf.Tensor:
    """``tf.random.stateless_uniform([views, count], key, alg="philox")`` for each key.

    Args:
        keys: int64 ``[B, 2]``.
        views: Number of views.
        count: Numbers of a view.

    Returns:
        float32 ``[views, B, count]`` in [0, 1).
    """
    return operations().keras_simsiam_uniforms(keys, views=views, count=count)


def apply(
    augmentation: Augmentation, images: tf.Tensor, parameters: Parameters, size: int
) -> tf.Tensor:
    """As `keras_simsiam.augment.apply`, on the CPU."""
    crop, jitter = parameters["crop"], parameters.get("color_jitter", {})
    return operations().keras_simsiam_views(
        images,
        # Empty, if an operation cannot occur.
        box=crop.get("box", tf.zeros([0, 4])),
        flip=crop["flip"],
        factors=jitter.get("factors", tf.zeros([0, 4])),
        order=jitter.get("order", tf.zeros([0, 4], tf.int32)),
        gray=parameters.get("grayscale", {}).get("where", tf.zeros([0], tf.bool)),
        sigma=parameters.get("blur", {}).get("sigma", tf.zeros([0])),
        size=size,
        mean=augmentation.mean,
        std=augmentation.std,
        largest_sigma=augmentation.blur_sigma[1],
    )


def crops(
    augmentations: Sequence[Augmentation],
    image: tf.Tensor,
    proportions: tf.Tensor,
    sizes: Sequence[int],
) -> tuple[tf.Tensor, ...]:
    """As `keras_simsiam.augment.crops`, on the CPU."""
    tries = (proportions.shape[1] - 2) // 2
    shares, ratios, corners = tf.split(proportions, [tries, tries, 2], axis=1)
    ranges = [a.crop_ratio for a in augmentations]
    return tuple(
        operations().keras_simsiam_crops(
            image,
            shares,
            ratios,
            corners,
            views=len(sizes),
            sizes=sizes,
            narrow=[narrow for narrow, _ in ranges],
            broad=[broad for _, broad in ranges],
        )
    )


def square(image: tf.Tensor, size: int) -> tf.Tensor:
    """As `keras_simsiam.data.images.square` of one image with three channels, bit for bit."""
    return operations().keras_simsiam_square(image, size=size)
