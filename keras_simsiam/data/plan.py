"""Which batches of views a pipeline makes, as a function of the step counter alone.

Position n of the training, counted over all epochs, is example ``index_shuffle(n mod N)`` of
epoch ``n div N``: a perfect shuffle that needs no buffer and can start anywhere. Batch k has
positions kB to (k + 1)B - 1. So no image is dropped at the end of an epoch, a resumed run gets the
batches it would have had, and the views of an epoch are the same for every batch size.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from keras_simsiam import augment
from keras_simsiam.augmentation import Augmentation


@dataclass(frozen=True)
class Plan:
    """The batches of views to make: a part of each batch, from a step on.

    Attributes:
        augmentations: How each view of an image is made.
        batch_size: Images per batch, over all parts.
        sizes: Side of each view in pixels.
        seed: Seed of order and views.
        start_step: Number of the first batch.
        part: Number of the part of each batch to make, from 0.
        parts: Number of equal parts that a batch has.
        together: Number of batches that are made together.
        sent: Whether the pipeline is sent to other processes, with the images if in memory.
    """

    augmentations: tuple[Augmentation, ...]
    batch_size: int
    sizes: tuple[int, ...]
    seed: int = 0
    start_step: int = 0
    part: int = 0
    parts: int = 1
    together: int = 1
    sent: bool = False

    @property
    def made(self) -> int:
        """Number of images that are processed together: this part of `together` batches."""
        return self.batch_size // self.parts * self.together

    @property
    def use_native(self) -> bool:
        """Whether `keras_simsiam.native` may be used; other processes may not have it."""
        return not self.sent

    def steps(self) -> tf.data.Dataset:
        """The first step of each group of batches that are made together.

        A range, because tf.data service distributes ranges and repeats counters.
        """
        return tf.data.Dataset.range(self.start_step, tf.int64.max, self.together)

    def positions(self, step: tf.Tensor) -> tf.Tensor:
        """Positions of this part of the `together` batches from a step on, int64 ``[made]``."""
        size = self.made // self.together
        first = self.part * size + tf.range(size, dtype=tf.int64)
        steps = step + tf.range(self.together, dtype=tf.int64)
        return tf.reshape(steps[:, None] * self.batch_size + first, [self.made])

    def numbers(self, epochs: tf.Tensor, examples: tf.Tensor) -> tf.Tensor:
        """The random numbers of all views, float32 ``[views, B, n]``; see `augment.uniforms`."""
        return augment.uniforms(self.seed, epochs, examples, self.augmentations, self.use_native)

    def image_batch(self, images: tf.Tensor, numbers: tf.Tensor) -> dict:
        """A batch of images of one size, ``[B, H, W, 3]``, with the parameters of their views."""
        height, width = images.shape[1:3]
        parameters = augment.draw(self.augmentations, numbers, height, width)
        return {"images": images, "parameters": parameters}

    def by_example(self, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The numbers ``[B, views, n]``, and what they say of crops, see `augment.proportions`."""
        drawn = augment.proportions(self.augmentations, numbers)
        return tf.transpose(numbers, [1, 0, 2]), drawn

    def crop(self, image: tf.Tensor, drawn: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The crops of one image ``[H, W, 3]`` of any size, for each view."""
        return augment.crops(self.augmentations, image, drawn, self.sizes, self.use_native)

    def crop_batch(self, crops: tuple, numbers: tf.Tensor) -> dict:
        """A batch of crops, with the parameters of the other operations.

        Args:
            crops: From `crop`, batched.
            numbers: float32 ``[B, views, n]``.
        """
        parameters = augment.draw(self.augmentations, tf.transpose(numbers, [1, 0, 2]))
        return {"crops": crops, "parameters": parameters}

    def split(self, step: tf.Tensor, batch: tuple) -> tuple:
        """Splits what was made together into batches on a new first axis, and their steps."""
        steps = step + tf.range(self.together, dtype=tf.int64)
        shape = [self.together, self.made // self.together]
        return steps, tf.nest.map_structure(
            lambda part: tf.reshape(part, shape + part.shape[1:]), batch
        )


def shuffled(positions: tf.Tensor, count: int, seed: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Epoch and example at positions of the training.

    Args:
        positions: int64 ``[B]``, ascending and at most two epochs apart, as in a batch.
        count: Images in the dataset.
        seed: The run's seed.

    Returns:
        int64 ``[B]`` each.
    """
    epochs = positions // count
    first = epochs[0]
    keys = tf.stack([_shuffle_key(seed, first), _shuffle_key(seed, first + 1)])
    # The operation behind tf.random.experimental.index_shuffle, which accepts neither a key for
    # each position nor a number of rounds for its cipher. Its four rounds leave a few hundred
    # examples nearly in the stored order; 24 pass tests of uniformity.
    examples = tf.raw_ops.RandomIndexShuffle(
        index=positions % count,
        seed=tf.gather(keys, epochs - first),
        max_index=tf.constant(count - 1, tf.int64),
        rounds=24,
    )
    return epochs, examples


def _shuffle_key(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """The key of an epoch's order, int64 ``[3]``.

    It consists of random bits, because the cipher uses only the lowest few bits of each number if
    there are few examples: with seed and epoch themselves, orders would repeat after 256 epochs.
    """
    return tf.random.stateless_uniform(
        [3], tf.stack([tf.constant(seed, tf.int64), epoch]), None, None, tf.int64, "philox"
    )
