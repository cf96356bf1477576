"""From images to batches of view pairs: a function of the step counter, and nothing else.

Position n of the training, counted over all epochs, is example ``index_shuffle(n mod N)`` of
epoch ``n div N``: a perfect shuffle that needs no buffer and can be entered anywhere. Batch k
holds positions kB to (k + 1)B - 1. So no image is dropped at the end of an epoch, a resumed run
gets the batches it would have had, and the views of an epoch are the same for every batch size.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from keras_simsiam import augment
from keras_simsiam.config import Augmentation
from keras_simsiam.data import service
from keras_simsiam.data.batches import Images, Places, batches_of
from keras_simsiam.data.sources import ImageFiles, ImageStream
from keras_simsiam.errors import InputError

_CACHED_PIXELS = 2**17  # of float32 in three channels, 1.5 MiB: about a core's cache
_SENDABLE = int(1.9 * 2**30)  # protobuf's limit is 2 GiB


def views(
    images: Images,
    augmentation: Augmentation,
    batch_size: int,
    seed: int = 0,
    image_size: int | None = None,
    start_step: int = 0,
    augment_on: str = "host",
    pairs: int = 1,
    part: tuple[int, int] = (0, 1),
    data_service: str | None = None,
) -> tf.data.Dataset:
    """An endless dataset of batches of view pairs, for `SimSiam.fit(..., steps_per_epoch=...)`.

    Args:
        images: uint8 ``[N, H, W, 3]``, or the `ImageFiles` or `ImageStream` that
            `keras_simsiam.data.load` gives where images have many sizes.
        augmentation: How views are made.
        batch_size: Images a batch, B.
        seed: Seed of order and views, 0 ≤ seed < 2**31.
        image_size: Side of the views in pixels; that of the images where None.
        start_step: The first batch to give, 0 for the beginning of the training.
        augment_on: "host" for the views themselves, ``(x1, x2)`` float32
            ``[B, image_size, image_size, 3]``; "device" for what
            `keras_simsiam.augment.make_views` makes them of, on the accelerator.
        pairs: Pairs of views of each image; 2 gives ``(x1, x2, x3, x4)``, which
            ``SimSiam(symmetry="two_pairs")`` takes.
        part: Which part of each batch, and of how many equal ones, for one of several workers.
        data_service: Address of a tf.data service whose workers make the batches, such as
            "grpc://10.0.0.1:5000"; not for an `ImageStream`.

    Raises:
        InputError: If the batch does not fit the images, or an argument is none of those.
    """
    if isinstance(images, np.ndarray) and not _are_images(images):
        raise InputError(
            f"images of {images.dtype} {list(images.shape)} are none; they must be uint8 "
            "[N, height, width, 3]"
        )
    count = len(images)
    if not 1 < batch_size <= count:
        raise InputError(
            f"batch_size {batch_size} does not fit {count:,} images; it can be 2 to {count:,}"
        )
    if augment_on not in ("host", "device"):
        raise InputError(f"augment_on '{augment_on}' is neither host nor device")
    if batch_size % part[1]:
        raise InputError(f"batch_size {batch_size} cannot be shared out evenly over {part[1]}")
    size = image_size or side_of(images)
    if data_service is not None:
        _check_sendable(images)

    def numbered(start_step: int) -> tf.data.Dataset:
        """``(step, batch)`` from a step on."""
        at_once = max(1, _CACHED_PIXELS // size**2)
        together = 1
        if augment_on == "host":
            # What a batch costs beside its pixels, small batches share.
            together = max(1, min(at_once * part[1], count) // batch_size)
        places = Places(batch_size, start_step, *part, together)
        sent = data_service is not None
        batches = batches_of(images, augmentation, places, seed, pairs, size, sent)
        if augment_on == "device":
            return batches
        made = batches.map(
            lambda step, batch: (step, augment.make_views(augmentation, batch, size, at_once)),
            tf.data.AUTOTUNE,
        )
        return made.map(places.apart).unbatch() if together > 1 else made

    if data_service is not None:
        return service.distribute(numbered, data_service, start_step).prefetch(tf.data.AUTOTUNE)
    return numbered(start_step).map(lambda _, batch: batch).prefetch(tf.data.AUTOTUNE)


def side_of(images: Images, default: int = 224) -> int:
    """Side of the views where none is given: that of the images, else `default` pixels."""
    return min(images.shape[1:3]) if isinstance(images, np.ndarray) else default


def preprocess(
    images: tf.Tensor, size: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> tf.Tensor:
    """What the network sees of whole images: resized, cropped in the middle, normalised.

    Args:
        images: uint8 ``[B, H, W, 3]``.
        size: Side of the result: the short side is resized to it, the long side cropped.
        mean: Of each channel, in [0, 1].
        std: Of each channel.

    Returns:
        float32 ``[B, size, size, 3]``.
    """
    return (resize_square(tf.cast(images, tf.float32), size) / 255.0 - mean) / std


def resize_square(images: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes the short side to `size`, antialiased bilinear, and crops the middle of the long.

    Args:
        images: ``[..., H, W, 3]``, one image or a batch, values of any range.
        size: Side of the result in pixels.

    Returns:
        float32 ``[..., size, size, 3]``.
    """
    height, width = tf.shape(images)[-3], tf.shape(images)[-2]
    short = tf.minimum(height, width)
    target = [
        tf.cast(tf.round(tf.cast(side, tf.float64) * size / tf.cast(short, tf.float64)), tf.int32)
        for side in (height, width)
    ]
    images = tf.image.resize(images, target, antialias=True)
    top, left = (target[0] - size) // 2, (target[1] - size) // 2
    images = images[..., top : top + size, left : left + size, :]
    return tf.ensure_shape(images, [*images.shape[:-3], size, size, 3])


def whole_images(images: Images, size: int, batch_size: int = 256) -> Iterator[tf.Tensor]:
    """Batches of every image once, in order, for evaluation: uint8 ``[B, size, size, 3]``.

    Args:
        images: As for `views`.
        size: Side of the result in pixels, see `resize_square`.
        batch_size: Images a batch; the last may have fewer.
    """
    if not isinstance(images, np.ndarray):
        each = images.dataset().map(lambda image: _square(image, size), tf.data.AUTOTUNE)
        yield from each.batch(batch_size).prefetch(2)
        return
    # No tf.data here: the functions of a pipeline, and the images with them, are never freed.
    for start in range(0, len(images), batch_size):
        yield _square(tf.constant(images[start : start + batch_size]), size)


def sample(images: Images, count: int) -> Images:
    """About `count` images at even distances, so that sorted classes are all among them."""
    step = max(1, len(images) // count)
    return images[::step] if isinstance(images, np.ndarray) else images.every(step)


def pick(images: Images, positions: np.ndarray, size: int) -> np.ndarray:
    """Some of the images, in any order and also twice: uint8 ``[n, size, size, 3]``.

    Args:
        images: As for `views`; a stream is read from its beginning.
        positions: int ``[n]``.
        size: Side of the result in pixels, see `resize_square`.
    """
    if isinstance(images, np.ndarray):
        return _square(tf.constant(images[positions]), size).numpy()
    if isinstance(images, ImageFiles):
        decoded = {i: images.decode(images.paths[i]) for i in set(positions.tolist())}
    else:
        last, wanted = int(positions.max()), set(positions.tolist())
        numbered = enumerate(images.dataset().take(last + 1))
        decoded = {i: image for i, image in numbered if i in wanted}
    squares = {i: _square(image, size).numpy() for i, image in decoded.items()}
    return np.stack([squares[i] for i in positions.tolist()])


def _square(images: tf.Tensor, size: int) -> tf.Tensor:
    """`resize_square` of uint8, rounded to uint8; images of that size already are left alone."""
    if images.shape[-3:-1] == (size, size):
        return images
    return tf.cast(tf.round(resize_square(images, size)), tf.uint8)


def _are_images(images: np.ndarray) -> bool:
    return images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] == 3


def _check_sendable(images: Images) -> None:
    """Raises InputError where the workers of a tf.data service cannot read the images."""
    if isinstance(images, ImageStream):
        raise InputError(
            "data_service cannot make batches of images in record files, which are read in their "
            "own order; extract them, and give --dataset folder:PATH"
        )
    if isinstance(images, np.ndarray) and images.nbytes > _SENDABLE:
        raise InputError(
            f"data_service: the images have {images.nbytes / 2**30:.1f} GiB and go to its workers "
            f"with the program, which can have {_SENDABLE / 2**30:.1f}; extract them, and give "
            "--dataset folder:PATH, which workers read themselves"
        )
