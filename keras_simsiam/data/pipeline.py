"""From images to batches of view pairs: a function of the step counter, and nothing else.

Position n of the training, counted over all epochs, is example ``index_shuffle(n mod N)`` of
epoch ``n div N``: a perfect shuffle that needs no buffer and can be entered anywhere. Batch k
holds positions kB to (k + 1)B - 1. So no image is dropped at the end of an epoch, a resumed run
gets the batches it would have had, and the views of an epoch are the same for every batch size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_simsiam import augment
from keras_simsiam.config import Augmentation
from keras_simsiam.data import service
from keras_simsiam.data.sources import ImageFiles, ImageStream
from keras_simsiam.errors import InputError

Images = np.ndarray | ImageFiles | ImageStream

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
        places = Places(batch_size, start_step, *part)
        if isinstance(images, np.ndarray):
            batches = _array_batches(images, augmentation, places, seed, pairs)
        elif isinstance(images, ImageFiles):
            batches = _file_batches(images, augmentation, places, seed, pairs, size)
        else:
            batches = _stream_batches(images, augmentation, places, seed, pairs, size)
        if augment_on == "device":
            return batches
        at_once = max(1, _CACHED_PIXELS // size**2)
        return batches.map(
            lambda step, batch: (step, augment.make_views(augmentation, batch, size, at_once)),
            tf.data.AUTOTUNE,
        )

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


def _square(images: tf.Tensor, size: int) -> tf.Tensor:
    """`resize_square` of uint8, rounded to uint8; images of that size already are left alone."""
    if images.shape[-3:-1] == (size, size):
        return images
    return tf.cast(tf.round(resize_square(images, size)), tf.uint8)


@dataclass(frozen=True)
class Places:
    """The positions of the training that a pipeline gives: one part of each batch.

    Attributes:
        batch_size: Images a batch, over all parts.
        start_step: The first batch.
        index: Which part.
        parts: Of how many.
    """

    batch_size: int
    start_step: int
    index: int
    parts: int

    @property
    def size(self) -> int:
        """Images of a batch that are in this part."""
        return self.batch_size // self.parts

    def steps(self) -> tf.data.Dataset:
        """Every step. A range, which tf.data service shares out; a counter it repeats."""
        return tf.data.Dataset.range(self.start_step, tf.int64.max)

    def of_step(self, step: tf.Tensor) -> tf.Tensor:
        """Positions of a batch, int64 ``[size]``."""
        first = step * self.batch_size + self.index * self.size
        return first + tf.range(self.size, dtype=tf.int64)

    def contain(self, position: tf.Tensor) -> tf.Tensor:
        """Whether a position is one of these."""
        step, place = position // self.batch_size, position % self.batch_size
        return (step >= self.start_step) & (place // self.size == self.index)


def _array_batches(images, augmentation, places, seed, pairs) -> tf.data.Dataset:
    """``(step, batch)`` of images that lie in memory, with the parameters of their views."""
    held = _hold(images)
    height, width = images.shape[1:3]

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, dict]:
        epochs, examples = _examples(places.of_step(step), len(images), seed)
        parameters = tuple(
            augment.draw(augmentation, numbers, height, width)
            for numbers in tf.unstack(augment.uniforms(seed, epochs, examples, 2 * pairs))
        )
        gathered = tf.gather(held, examples)
        return step, {
            "images": tf.ensure_shape(gathered, [places.size, height, width, 3]),
            "parameters": parameters,
        }

    return places.steps().map(batch, tf.data.AUTOTUNE)


def _file_batches(files, augmentation, places, seed, pairs, size) -> tf.data.Dataset:
    """``(step, batch)`` of crops of images of many sizes, decoded as they are needed."""
    paths = tf.constant(files.paths)

    def crops(position: tf.Tensor) -> tuple[tf.Tensor, dict]:
        epoch, example = (v[0] for v in _examples(position[None], len(files), seed))
        image = files.decode(tf.gather(paths, example))
        made = _crops(image, augmentation, seed, epoch, example, pairs, size)
        return position // places.batch_size, made

    positions = places.steps().map(places.of_step).unbatch()
    batches = positions.map(crops, tf.data.AUTOTUNE).batch(places.size, drop_remainder=True)
    return batches.map(lambda steps, batch: (steps[0], batch))


def _stream_batches(stream, augmentation, places, seed, pairs, size) -> tf.data.Dataset:
    """The same from a source that can only be read in its own order.

    It is shuffled by files and a buffer, epoch by epoch. Entering in the middle reads and throws
    away what lies before, from the beginning of that epoch.
    """
    epoch = places.start_step * places.batch_size // len(stream)

    def crops(epoch: tf.Tensor, example: tf.Tensor, record: tf.Tensor) -> dict:
        return _crops(stream.decode(record), augmentation, seed, epoch, example, pairs, size)

    def crops_of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        numbered = stream.shuffled(seed, epoch).enumerate(epoch * len(stream))
        here = numbered.filter(lambda position, _: places.contain(position))
        return here.map(lambda _, record: crops(epoch, *record), tf.data.AUTOTUNE)

    all_crops = tf.data.Dataset.counter(epoch).flat_map(crops_of_epoch)
    return all_crops.batch(places.size, drop_remainder=True).enumerate(places.start_step)


def _crops(image, augmentation, seed, epoch, example, pairs, size) -> dict:
    """Crops of one image, one a view, with the parameters of what is left to do to them."""
    height, width = (tf.cast(v, tf.float32) for v in tf.unstack(tf.shape(image)[:2]))
    numbers = augment.uniforms(seed, epoch[None], example[None], 2 * pairs)  # [views, 1, n]
    crops, parameters = [], []
    for view in tf.unstack(numbers):
        drawn = augment.draw(augmentation, view, height, width)
        top, left, h, w = tf.unstack(tf.cast(drawn.box[0], tf.int32))
        crop = tf.image.resize(image[top : top + h, left : left + w], [size, size], antialias=True)
        crops.append(tf.cast(tf.round(crop), tf.uint8))
        parameters.append(augment.ViewParameters(*(v[0] for v in drawn)))
    return {"crops": tuple(crops), "parameters": tuple(parameters)}


def _examples(positions: tf.Tensor, count: int, seed: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Epoch and example, int64 ``[B]`` each, at positions ``[B]`` of the training.

    The positions must be ascending and no more than two epochs apart, as in a batch.
    """
    epochs = positions // count
    first = epochs[0]
    keys = tf.stack([_shuffle_key(seed, first), _shuffle_key(seed, first + 1)])
    # This is the operation under tf.random.experimental.index_shuffle, which neither takes a key
    # for each position nor lets one choose the rounds of its cipher. Its four leave orders of a
    # few hundred examples that are nearly the stored one; 24 pass tests of evenness.
    examples = tf.raw_ops.RandomIndexShuffle(
        index=positions % count,
        seed=tf.gather(keys, epochs - first),
        max_index=tf.constant(count - 1, tf.int64),
        rounds=24,
    )
    return epochs, examples


def _shuffle_key(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """The key of an epoch's order, int64 ``[3]``.

    Random bits, because the cipher uses only the lowest few of each number where there are few
    examples: seed and epoch themselves would give the same orders again after 256 epochs.
    """
    return tf.random.stateless_uniform(
        [3], tf.stack([tf.constant(seed, tf.int64), epoch]), None, None, tf.int64, "philox"
    )


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


def _hold(images: np.ndarray) -> tf.Tensor:
    """The images as one tensor in the host's memory, captured by the pipeline's functions."""
    with tf.device("CPU:0"):
        return tf.constant(images)
