"""Batches of images in the order of the training, with the parameters of their views.

Each of the three kinds of images has its way: gathered from memory, decoded from files as they are
needed, or read from records in their own order.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_simsiam import augment
from keras_simsiam.data.sources import ImageFiles, ImageStream

Images = np.ndarray | ImageFiles | ImageStream


@dataclass(frozen=True)
class Places:
    """The positions of the training that a pipeline gives: one part of each batch.

    Attributes:
        batch_size: Images a batch, over all parts.
        start_step: The first batch.
        index: Which part.
        parts: Of how many.
        together: How many batches are made together.
    """

    batch_size: int
    start_step: int
    index: int
    parts: int
    together: int

    @property
    def size(self) -> int:
        """Images that are made together."""
        return self.batch_size // self.parts * self.together

    def steps(self) -> tf.data.Dataset:
        """The first of the steps that are made together, each time.

        A range, which tf.data service shares out; a counter it repeats.
        """
        return tf.data.Dataset.range(self.start_step, tf.int64.max, self.together)

    def of_step(self, step: tf.Tensor) -> tf.Tensor:
        """Positions of a batch, and of those made together with it, int64 ``[size]``."""
        size = self.size // self.together
        first = self.index * size + tf.range(size, dtype=tf.int64)
        steps = step + tf.range(self.together, dtype=tf.int64)
        return tf.reshape(steps[:, None] * self.batch_size + first, [self.size])

    def apart(self, step: tf.Tensor, views: tuple) -> tuple:
        """Batches that were made together, along a new axis, each with its step."""
        steps = step + tf.range(self.together, dtype=tf.int64)
        shape = [self.together, self.size // self.together]
        return steps, tuple(tf.reshape(view, shape + view.shape[1:]) for view in views)

    def contain(self, position: tf.Tensor) -> tf.Tensor:
        """Whether a position is one of these."""
        step, place = position // self.batch_size, position % self.batch_size
        mine = place * self.parts // self.batch_size == self.index
        return (step >= self.start_step) & mine


def batches_of(images, augmentation, places, seed, pairs, size, sent) -> tf.data.Dataset:
    """``(step, batch)`` for `keras_simsiam.augment.make_views`, see `keras_simsiam.data.views`.

    Args:
        images: Of any of the three kinds.
        augmentation: How views are made.
        places: Which batches.
        seed: Seed of order and views.
        pairs: Pairs of views of each image.
        size: Side of the views in pixels, to which images of many sizes are cropped here.
        sent: Whether the pipeline goes to other processes, and the images in memory with it.
    """
    if isinstance(images, np.ndarray):
        held = tf.constant(images) if sent else _hold(images)
        return _array_batches(held, augmentation, places, seed, pairs)
    kind = _file_batches if isinstance(images, ImageFiles) else _stream_batches
    return kind(images, augmentation, places, seed, pairs, size)


def _hold(images: np.ndarray) -> tf.Variable:
    """A copy of the images that a pipeline's operations read.

    A constant takes twice the images' memory and, while tf.data looks through the pipeline, three
    times. tf.numpy_function would need no copy, but with it a process hung once where an iterator
    was freed, it seems because each of the two waited for the other.
    """

    def copy() -> tf.Variable:
        with tf.device("CPU:0"):
            return tf.Variable(images, trainable=False)

    # A new thread is in the scope of no strategy, which would make a variable for each device.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy).result()


def _array_batches(held, augmentation, places, seed, pairs) -> tf.data.Dataset:
    """``(step, batch)`` of images that lie in memory, with the parameters of their views."""
    count, height, width = held.shape[:3]

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, dict]:
        epochs, examples = _examples(places.of_step(step), count, seed)
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

    def examples(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        epochs, examples = _examples(places.of_step(step), len(files), seed)
        numbers = augment.uniforms(seed, epochs, examples, 2 * pairs)
        steps = tf.repeat(step, places.size)
        return steps, tf.gather(paths, examples), tf.transpose(numbers, [1, 0, 2])

    def crops(step: tf.Tensor, path: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, dict]:
        return step, _crops(files.decode(path), augmentation, numbers, size)

    each = places.steps().map(examples, tf.data.AUTOTUNE).unbatch()
    batches = each.map(crops, tf.data.AUTOTUNE).batch(places.size, drop_remainder=True)
    return batches.map(lambda steps, batch: (steps[0], _with_parameters(batch, augmentation)))


def _stream_batches(stream, augmentation, places, seed, pairs, size) -> tf.data.Dataset:
    """The same from a source that can only be read in its own order.

    It is shuffled by files and a buffer, epoch by epoch. Entering in the middle reads and throws
    away what lies before, from the beginning of that epoch.
    """
    epoch = places.start_step * places.batch_size // len(stream)

    def crops(epoch: tf.Tensor, example: tf.Tensor, record: tf.Tensor) -> dict:
        numbers = augment.uniforms(seed, epoch[None], example[None], 2 * pairs)[:, 0]
        return _crops(stream.decode(record), augmentation, numbers, size)

    def crops_of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        numbered = stream.shuffled(seed, epoch).enumerate(epoch * len(stream))
        here = numbered.filter(lambda position, _: places.contain(position))
        return here.map(lambda _, record: crops(epoch, *record), tf.data.AUTOTUNE)

    all_crops = tf.data.Dataset.counter(epoch).flat_map(crops_of_epoch)
    batches = all_crops.batch(places.size, drop_remainder=True).enumerate()
    return batches.map(
        lambda i, batch: (
            places.start_step + i * places.together,
            _with_parameters(batch, augmentation),
        )
    )


def _crops(image, augmentation, numbers, size) -> dict:
    """Crops of one image, one a view, from its random numbers ``[views, n]``."""
    height, width = (tf.cast(v, tf.float32) for v in tf.unstack(tf.shape(image)[:2]))
    box = augment.draw_box(augmentation, numbers, height, width)
    crops = []
    for top, left, h, w in map(tf.unstack, tf.unstack(tf.cast(box, tf.int32))):
        crop = tf.image.resize(image[top : top + h, left : left + w], [size, size], antialias=True)
        crops.append(tf.cast(tf.round(crop), tf.uint8))
    return {"crops": tuple(crops), "box": box, "numbers": numbers}


def _with_parameters(batch, augmentation) -> dict:
    """A batch of `_crops` with the parameters of what is left to do to them."""
    views = zip(tf.unstack(batch["numbers"], axis=1), tf.unstack(batch["box"], axis=1), strict=True)
    # What `draw` says of the box is of images of other sizes, and is not computed then.
    drawn = [augment.draw(augmentation, n, 1, 1)._replace(box=box) for n, box in views]
    return {"crops": batch["crops"], "parameters": tuple(drawn)}


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
