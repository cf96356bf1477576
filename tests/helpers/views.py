"""Parameters of many views, for tests of their distribution."""

import functools

import tensorflow as tf

from keras_simsiam import Augmentation, augment

N = 20_000
LEAST_P = 1e-3
"""Smallest p-value; the seed is fixed, so a test either passes always or never."""


OWN_BLOCKS = (
    "vertical_flip_probability",
    "turn_probability",
    "solarize_probability",
    "erase_probability",
)
"""Settings of the operations that draw random numbers of their own where they can occur."""


@functools.cache
def numbers(*settings):
    """Random numbers of two views of N examples in the first epoch, where some settings are on."""
    examples = tf.range(N, dtype=tf.int64)
    augmentations = (Augmentation(**dict.fromkeys(settings, 1.0)),) * 2
    return tf.function(lambda: augment.uniforms(0, 0 * examples, examples, augmentations))()


def drawn(augmentation, height=64, width=64):
    """Parameters of the first view of each, by operation."""
    own = [name for name in OWN_BLOCKS if getattr(augmentation, name) > 0]
    (parameters,) = augment.draw((augmentation,), numbers(*own)[:1], height, width)
    return tf.nest.map_structure(lambda tensor: tensor.numpy(), parameters)
