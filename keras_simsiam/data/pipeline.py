"""Makes batches of views from images."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import tensorflow as tf

from keras_simsiam import augment, preprocessing
from keras_simsiam.augmentation import Augmentation, each_view, per_view
from keras_simsiam.config import AugmentOn
from keras_simsiam.data import service
from keras_simsiam.data.images import Images, ImagesLike
from keras_simsiam.data.in_memory import as_images
from keras_simsiam.data.measuring import fitted
from keras_simsiam.data.plan import Plan
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Bounds, Count, Index, Seed, checks_arguments
from keras_simsiam.view_rules import SmallViews

_CACHED_PIXELS = 2**17  # of float32 in three channels, 1.5 MiB: about a core's cache


@checks_arguments
def views(
    images: ImagesLike,
    augmentation: Augmentation | Sequence[Augmentation],
    batch_size: int,
    seed: Seed = 0,
    image_size: Count | None = None,
    start_step: Index = 0,
    augment_on: AugmentOn = "host",
    count: Annotated[int, Bounds(at_least=2)] = 2,
    part: Annotated[tuple[int, int], Bounds(at_least=0)] = (0, 1),
    data_service: str | None = None,
    numbered: bool = False,
    small_views: SmallViews | None = None,
) -> tf.data.Dataset:
    """An endless dataset of batches of views, for `SimSiam.fit(..., steps_per_epoch=...)`.

    The batches depend on the arguments only. The views of an image in an epoch depend neither on
    the batch size nor on how many there are; see `keras_simsiam.data.plan`.

    Args:
        images: uint8 ``[N, H, W, C]``, or the `ImageFiles` or `ImageRecords` that
            `keras_simsiam.data.load` gives for images of many sizes.
        augmentation: One for all views, or one per view. Its mean and std are measured on the
            images where they are "auto", and say how many channels there are. If these are not
            three, operations on color are left out with a warning.
        batch_size: Images per batch, B.
        seed: Seed of order and views, 0 ≤ seed < 2**31.
        image_size: Side of the views in pixels; that of the images if None, or 224 if they have
            many sizes or are larger than 256 pixels.
        start_step: Number of the first batch, counted from the beginning of the training.
        augment_on: "host" for the views themselves, ``(x1, x2)`` float32
            ``[B, image_size, image_size, C]``; "device" for the input of
            `keras_simsiam.augment.make_views`, which makes them on the accelerator.
        count: Views of each image, besides small ones; 4 gives ``(x1, x2, x3, x4)``, for
            ``SimSiam(symmetry="two_pairs")`` and ``SimSiam(symmetry="fastsiam")``.
        part: Which part of each batch to make, and of how many equal parts: ``(0, 2)`` is the first
            half, for the first of two workers.
        data_service: Address of a tf.data service whose workers make the batches, such as
            "grpc://10.0.0.1:5000".
        numbered: Whether a batch is ``{"views": batch, "examples": numbers}`` with the numbers of
            its images in the dataset, int64 ``[B]``, for ``SimSiam(target="images:0.8")``.
        small_views: Small views that follow the others in a batch (multi-crop).

    Returns:
        The batches. A model that is trained on them takes size, mean and std from them.

    Raises:
        InputError: If an argument is invalid, or there are fewer images than a batch.
        tf.errors.UnknownError: While iterating, if more than 1% of the files have become
            unreadable; its message contains that of a `keras_simsiam.errors.CannotRead`.
    """
    each = per_view(augmentation, count)
    known = [a.channels for a in each if a.channels is not None]
    images = as_images(images, channels=max(known) if known else None)
    total, parts = len(images), part[1]
    if not 1 < batch_size <= total:
        raise InputError(
            f"batch_size must be at least 2 and at most {total:,}, the number of images; "
            f"got {batch_size:,}"
        )
    if not part[0] < parts:
        raise InputError(f"part must be two integers, the smaller first; got {part[0]} {parts}")
    if batch_size % parts:
        raise InputError(f"batch_size must be a multiple of {parts} parts; got {batch_size:,}")
    if data_service is not None:
        images.check_sendable()
    size = image_size or images.side()
    at_once = max(1, _CACHED_PIXELS // size**2)
    together = 1
    if augment_on == "host":
        # Small batches share the fixed costs of a batch.
        together = max(1, min(at_once * parts, total) // batch_size)
    augmentation = _for(images, each)
    augmentations, sizes = each_view(augmentation, count, size, small_views)
    made_as = preprocessing.Preprocessing.of_views(augmentations, size)
    sent = data_service is not None
    plan = Plan(augmentations, batch_size, sizes, seed, start_step, *part, together, sent)

    def finished(step: tf.Tensor, batch: dict) -> tuple:
        unread = batch.pop("unread", tf.fill([plan.made], tf.constant(-1, tf.int64)))
        examples = batch.pop("examples", None)
        made: Any = batch
        if augment_on == "host":
            made = augment.make_views(
                augmentation, batch, size, at_once, small_views, plan.use_native
            )
        return step, (unread, {"views": made, "examples": examples} if numbered else made)

    # AutoGraph, which nothing here needs, would take more than a second.
    @tf.autograph.experimental.do_not_convert
    def from_step(start_step: int) -> tf.data.Dataset:
        """``(step, (unread, batch))`` from a step on."""
        batches = images.batches(dataclasses.replace(plan, start_step=start_step))
        made = batches.map(finished, tf.data.AUTOTUNE)
        return made.map(plan.split).unbatch() if together > 1 else made

    if data_service is not None:
        batches = service.distribute(from_step, data_service, start_step)
    else:
        batches = from_step(start_step).map(lambda _, batch: batch)
    checked = batches.map(images.checked).prefetch(tf.data.AUTOTUNE)
    return preprocessing.remember(checked, made_as)


def _for(images: Images, augmentations: Sequence[Augmentation]) -> tuple[Augmentation, ...]:
    """The augmentations with what the images say."""
    channels = images.channels
    if channels != 3 and any(a.on_color for a in augmentations):
        warnings.warn(
            f"{' and '.join(augmentations[0].on_color or augmentations[1].on_color)} are left out, "
            f"because the images have {channels} channels, not 3",
            stacklevel=4,
        )
    if channels == 3 and not any(a.is_measured for a in augmentations):
        return tuple(augmentations)
    return tuple(fitted(a, images) for a in augmentations)
