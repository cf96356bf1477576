"""A linear classifier on frozen features (paper, Section 4 and Appendix B 'Linear evaluation')."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_simsiam.errors import InputError

LEARNING_RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Rates to choose from, for a batch of 256. The paper's is 30, for ResNet-50's features."""

HELD_OUT = 0.1
"""Part of the training features on which the rate is chosen."""


class LinearAccuracy(NamedTuple):
    """How well a linear classifier does.

    Attributes:
        top1: Part of the queries, in [0, 1], whose class it puts first.
        top5: Part whose class is among its first five.
        learning_rate: The rate that was chosen.
    """

    top1: float
    top5: float
    learning_rate: float


def linear_accuracy(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    query_labels: np.ndarray,
    learning_rates: tuple[float, ...] = LEARNING_RATES,
    epochs: int = 90,
    batch_size: int = 256,
    seed: int = 0,
) -> LinearAccuracy:
    """Accuracy of a linear classifier that is trained on the features of the bank.

    As in the paper: SGD with momentum 0.9, cosine decay to zero, no weight decay. The rate is the
    one that does best on a tenth of the bank that is held out; the classifier of that rate is then
    trained on the whole bank. The queries are looked at once, at the end.

    Args:
        bank: float ``[N, D]``, features of the labelled training images.
        bank_labels: int ``[N]``.
        queries: float ``[Q, D]``, features of the test images.
        query_labels: int ``[Q]``.
        learning_rates: To choose from, for a batch of 256; scaled by batch_size / 256.
        epochs: Epochs of each training.
        batch_size: Features a step; the whole bank where it is smaller.
        seed: Of the part that is held out, the weights and the order.

    Raises:
        InputError: If sizes do not fit, or the bank has fewer than two features or classes.
    """
    bank, queries = (np.asarray(v, np.float32) for v in (bank, queries))
    bank_labels, query_labels = (np.asarray(v, np.int64) for v in (bank_labels, query_labels))
    if len(bank) != len(bank_labels) or bank.shape[1:] != queries.shape[1:]:
        raise InputError(
            f"features of shape {bank.shape} with {len(bank_labels)} labels do not fit "
            f"queries of shape {queries.shape}"
        )
    if len(np.unique(bank_labels)) < 2:
        raise InputError("a linear classifier needs training features of two classes or more")
    classes = 1 + int(bank_labels.max())
    rates = np.asarray(learning_rates, np.float32)
    order = np.random.default_rng(seed).permutation(len(bank))
    held_out, kept = np.split(order, [max(1, round(HELD_OUT * len(bank)))])
    shared = (classes, epochs, batch_size, seed)
    tried = _train(bank[kept], bank_labels[kept], rates, *shared)
    hits = _ranked(tried, bank[held_out])[:, :, 0] == bank_labels[held_out]
    best = rates[hits.mean(axis=1).argmax()]
    chosen = _train(bank, bank_labels, best[None], *shared)
    hits = _ranked(chosen, queries)[0] == query_labels[:, None]
    return LinearAccuracy(float(hits[:, 0].mean()), float(hits.any(axis=1).mean()), float(best))


def _train(
    features: np.ndarray,
    labels: np.ndarray,
    rates: np.ndarray,
    classes: int,
    epochs: int,
    batch_size: int,
    seed: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Classifiers ``[R, D, C]`` and ``[R, C]``, one a rate, trained side by side."""
    batch_size = min(batch_size, len(features))
    steps = len(features) // batch_size
    generator = np.random.default_rng([seed, 1])
    draw = generator.normal(0, 0.01, (features.shape[1], classes)).astype(np.float32)
    weights = tf.Variable(np.repeat(draw[None], len(rates), 0))
    biases = tf.Variable(tf.zeros([len(rates), classes]))
    variables = (weights, biases)
    velocities = [tf.Variable(tf.zeros_like(v)) for v in variables]

    @tf.function
    def step(x, y, rate):
        with tf.GradientTape() as tape:
            logits = tf.einsum("bd,rdc->rbc", x, weights) + biases[:, None]
            targets = tf.tile(y[None], [len(rates), 1])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            # The sum over the classifiers, which have no weight in common.
            loss = tf.reduce_sum(tf.reduce_mean(losses, axis=1))
        for v, gradient, velocity in zip(
            variables, tape.gradient(loss, variables), velocities, strict=True
        ):
            velocity.assign(0.9 * velocity + gradient)
            v.assign_sub(tf.reshape(rate, [-1] + [1] * (v.shape.rank - 1)) * velocity)

    for epoch in range(epochs):
        order = generator.permutation(len(features))
        for i in range(steps):
            rows = order[i * batch_size : (i + 1) * batch_size]
            decay = 0.5 * (1 + np.cos(np.pi * (epoch * steps + i) / (epochs * steps)))
            step(features[rows], labels[rows], rates * np.float32(decay * batch_size / 256))
    return weights, biases


def _ranked(classifiers: tuple[tf.Tensor, tf.Tensor], features: np.ndarray) -> np.ndarray:
    """The five best classes of each classifier and feature, ``[R, N, 5]``.

    They are -1, which no label is, where a rate was so high that the training broke down.
    """
    weights, biases = classifiers
    logits = tf.einsum("bd,rdc->rbc", features, weights) + biases[:, None]
    usable = tf.reduce_all(tf.math.is_finite(logits), axis=-1, keepdims=True)
    best = tf.math.top_k(logits, min(5, weights.shape[-1])).indices
    return tf.where(usable, best, -1).numpy()
