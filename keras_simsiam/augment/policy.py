"""Which random parameters a view gets, and the view they make.

The two stages are apart on purpose. `draw` turns uniform numbers that depend on
(seed, epoch, example, view) and on nothing else into explicit parameters; `apply` turns images
and parameters into views, without chance. So a view does not depend on the batch it was in, and
the same parameters give the same pixels on the host and on an accelerator.

The distributions are those of torchvision's transforms, which the authors used (paper, Section 4
and Appendix D).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from keras_simsiam.augment import ops
from keras_simsiam.config import Augmentation

_CROP_TRIES = 10  # torchvision's RandomResizedCrop gives up after ten and takes the centre

# How many uniform numbers each part of a view takes.
_LAYOUT = {
    "area": _CROP_TRIES,
    "ratio": _CROP_TRIES,
    "corner": 2,
    "flip": 1,
    "jitter": 1,
    "factors": 4,
    "order": 4,
    "grayscale": 1,
    "blur": 1,
    "sigma": 1,
}


class ViewParameters(NamedTuple):
    """What `apply` does to each of B images to make one view.

    Attributes:
        box: float32 ``[B, 4]``, top, left, height, width of the crop in pixels of the source.
        flip: bool ``[B]``.
        factors: float32 ``[B, 4]``, see `ops.color_jitter`; (1, 1, 1, 0) where there is none.
        order: int32 ``[B, 4]``, the order of the four colour operations.
        grayscale: bool ``[B]``.
        sigma: float32 ``[B]``, blur in pixels of the view; 0 where there is none.
    """

    box: tf.Tensor
    flip: tf.Tensor
    factors: tf.Tensor
    order: tf.Tensor
    grayscale: tf.Tensor
    sigma: tf.Tensor


def uniforms(seed: int, epochs: tf.Tensor, examples: tf.Tensor, views: int = 2) -> tf.Tensor:
    """Random numbers for the views of each example, the same wherever and whenever asked for.

    Args:
        seed: The run's seed, 0 ≤ seed < 2**31.
        epochs: int64 ``[B]``.
        examples: int64 ``[B]``, which example of the dataset.
        views: How many each gets; the first are the same however many there are.

    Returns:
        float32 ``[views, B, n]`` in [0, 1): view, example, number.
    """
    keys = tf.stack([epochs + (seed << 32), examples], axis=1)
    numbers = tf.map_fn(
        lambda key: tf.random.stateless_uniform([views, sum(_LAYOUT.values())], key, alg="philox"),
        keys,
        fn_output_signature=tf.float32,
    )
    return tf.transpose(numbers, [1, 0, 2])


def draw(
    augmentation: Augmentation, numbers: tf.Tensor, height: tf.Tensor, width: tf.Tensor
) -> ViewParameters:
    """Turns uniform numbers into the parameters of one view of each image.

    Args:
        augmentation: The distributions.
        numbers: float32 ``[B, n]`` from `uniforms`.
        height: Height of the source images in pixels, a number or float32 ``[B]``.
        width: Their width.

    Returns:
        The parameters, each with a leading axis B.
    """
    a = augmentation
    u = dict(zip(_LAYOUT, _split(numbers), strict=True))
    single = {name: value[:, 0] for name, value in u.items()}
    jitter = single["jitter"] < a.jitter_probability
    strength = tf.constant([a.brightness, a.contrast, a.saturation, a.hue])
    neutral = tf.constant([1.0, 1.0, 1.0, 0.0])
    # Factors lie in [max(0, 1 - s), 1 + s], the hue shift in [-s, s].
    lowest = tf.concat([tf.maximum(neutral[:3] - strength[:3], 0.0), -strength[3:]], 0)
    factors = lowest + (neutral + strength - lowest) * u["factors"]
    low, high = a.blur_sigma
    blur = single["blur"] < a.blur_probability
    return ViewParameters(
        box=draw_box(a, numbers, height, width),
        flip=single["flip"] < a.flip_probability,
        factors=tf.where(jitter[:, None], factors, neutral),
        # The ranks of four independent uniforms are a uniform permutation.
        order=tf.argsort(u["order"], axis=1),
        grayscale=single["grayscale"] < a.grayscale_probability,
        sigma=tf.where(blur, low + (high - low) * single["sigma"], 0.0),
    )


def draw_box(
    augmentation: Augmentation, numbers: tf.Tensor, height: tf.Tensor, width: tf.Tensor
) -> tf.Tensor:
    """Turns uniform numbers into the crop of one view of each image, as `draw` does.

    It is torchvision's RandomResizedCrop: the first of ten boxes that fits, else the centre.

    Args:
        augmentation: The distributions.
        numbers: As for `draw`, as the rest.
        height: Of the source images.
        width: Of the source images.

    Returns:
        float32 ``[B, 4]``, see `ViewParameters`.
    """
    a = augmentation
    u_area, u_ratio, u_corner = _split(numbers)[:3]
    height, width = (
        tf.broadcast_to(tf.cast(v, tf.float32), tf.shape(u_area)[:1])[:, None]
        for v in (height, width)
    )
    (low, high), (narrow, broad) = a.crop_area, a.crop_ratio
    area = height * width * (low + (high - low) * u_area)
    log_narrow, log_broad = math.log(narrow), math.log(broad)
    ratio = tf.exp(log_narrow + (log_broad - log_narrow) * u_ratio)
    w, h = tf.round(tf.sqrt(area * ratio)), tf.round(tf.sqrt(area / ratio))
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    # Where none fits: the largest centred box whose ratio is allowed.
    centre_w = tf.minimum(width, tf.round(height * broad))
    centre_h = tf.minimum(height, tf.round(width / narrow))
    first = tf.argmax(fits, axis=1, output_type=tf.int32)
    found = tf.reduce_any(fits, axis=1, keepdims=True)
    w = tf.where(found, tf.gather(w, first, batch_dims=1)[:, None], centre_w)
    h = tf.where(found, tf.gather(h, first, batch_dims=1)[:, None], centre_h)
    # A whole number from 0 to room, each equally likely; the minimum guards u so near 1 that
    # float32 rounds the product up.
    room = tf.concat([height - h, width - w], axis=1)
    corner = tf.minimum(tf.floor(u_corner * (room + 1.0)), room)
    corner = tf.where(found, corner, tf.floor(room / 2.0))
    return tf.concat([corner, h, w], axis=1)


def apply(
    augmentation: Augmentation,
    images: tf.Tensor,
    parameters: ViewParameters,
    size: int,
    cropped: bool = False,
) -> tf.Tensor:
    """Makes one view of each image.

    Args:
        augmentation: Says which operations can occur at all, and the normalisation.
        images: uint8 ``[B, H, W, 3]``.
        parameters: What to do to each.
        size: Side of the views in pixels.
        cropped: Whether the images are already crops of ``size`` pixels a side, as they are where
            the source has images of many sizes; the crop is then skipped, the flip is not.

    Returns:
        float32 ``[B, size, size, 3]``, normalised.
    """
    a = augmentation
    planes = ops.to_planes(images)
    if cropped:
        planes = ops.flip(planes, parameters.flip)
    else:
        planes = ops.resized_crop(planes, parameters.box, size, parameters.flip)
    if a.jitter_probability > 0:
        planes = ops.color_jitter(planes, parameters.factors, parameters.order)
    if a.grayscale_probability > 0:
        planes = ops.grayscale(planes, parameters.grayscale)
    if a.blur_probability > 0:
        planes = ops.gaussian_blur(planes, parameters.sigma, a.blur_sigma[1])
    return ops.to_images(ops.normalize(planes, a.mean, a.std))


def make_views(
    augmentation: Augmentation, batch: dict, size: int, at_once: int | None = None
) -> tuple[tf.Tensor, ...]:
    """All views of a batch, on whatever device this runs.

    Args:
        augmentation: As for `apply`.
        batch: ``parameters``, `ViewParameters` for each view, and either ``images``, the uint8
            images that all views are cropped from, or ``crops``, as many batches of crops.
        size: Side of the views in pixels.
        at_once: The most images to work on at once; all where None. A CPU is fastest with as many
            as fit in its cache.

    Returns:
        x1, x2 and so on, float32 ``[B, size, size, 3]``.
    """
    cropped = "crops" in batch
    parameters = batch["parameters"]
    sources = batch["crops"] if cropped else (batch["images"],) * len(parameters)
    count = sources[0].shape[0]
    parts = next(
        n for n in range(1, count + 1) if count % n == 0 and count <= n * (at_once or count)
    )

    def make(part: tuple[tuple, tuple]) -> tuple[tf.Tensor, ...]:
        return tuple(
            apply(augmentation, images, ViewParameters(*drawn), size, cropped)
            for images, drawn in zip(*part, strict=True)
        )

    if parts == 1:
        return make((sources, parameters))
    made = tf.map_fn(
        make,
        tf.nest.map_structure(
            lambda t: tf.reshape(t, [parts, count // parts, *t.shape[1:]]), (sources, parameters)
        ),
        fn_output_signature=(tf.float32,) * len(parameters),
    )
    return tuple(tf.reshape(view, [count, size, size, 3]) for view in made)


def _split(numbers: tf.Tensor) -> list[tf.Tensor]:
    """The numbers of each part of a view, ``[B, count]`` each, in the order of `_LAYOUT`."""
    return tf.split(numbers, list(_LAYOUT.values()), axis=1)
