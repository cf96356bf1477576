"""Parameters of many views, for tests of their distribution."""

import functools

import tensorflow as tf

from keras_simsiam import augment

N = 20_000
LEAST_P = 1e-3
"""Smallest p-value; the seed is fixed, so a test either passes always or never."""


@functools.cache
def numbers(seed=0):
    """Random numbers for N examples of the first epoch."""
    examples = tf.range(N, dtype=tf.int64)
    return tf.function(augment.uniforms)(seed, tf.zeros_like(examples), examples)


def drawn(augmentation, height=64, width=64):
    """Parameters of the first view of each."""
    parameters = augment.draw(augmentation, numbers()[0], height, width)
    return tf.nest.map_structure(lambda tensor: tensor.numpy(), parameters)
