"""Parameters of many views, for tests of their distribution."""

import functools

import tensorflow as tf

from keras_simsiam import Augmentation, augment

N = 20_000
LEAST_P = 1e-3
"""Smallest p-value; the seed is fixed, so a test either passes always or never."""


@functools.cache
def numbers():
    """Random numbers of two views of N examples in the first epoch."""
    examples = tf.range(N, dtype=tf.int64)
    augmentations = (Augmentation(),) * 2
    return tf.function(lambda: augment.uniforms(0, 0 * examples, examples, augmentations))()


def drawn(augmentation, height=64, width=64):
    """Parameters of the first view of each, by operation."""
    (parameters,) = augment.draw((augmentation,), numbers()[:1], height, width)
    return tf.nest.map_structure(lambda tensor: tensor.numpy(), parameters)
