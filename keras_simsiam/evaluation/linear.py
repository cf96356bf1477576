"""A linear classifier on frozen features (paper, Section 4 and Appendix A 'Linear evaluation')."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_simsiam.errors import InputError, check_choice
from keras_simsiam.optimizers import trust_ratio

LEARNING_RATES = {
    "sgd": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
    "lars": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
}
"""Rates to choose from, for a batch of 256. The authors' are 30 with SGD and 0.1 with LARS, for
ResNet-50's features of ImageNet."""

HELD_OUT = 0.1
"""Part of the training features of each class on which the rate is chosen."""


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
    **kwargs,
) -> LinearAccuracy:
    """Accuracy of a linear classifier that is trained on the features of the bank.

    Args:
        bank: As for `linear_predict`.
        bank_labels: As for `linear_predict`.
        queries: As for `linear_predict`.
        query_labels: int ``[Q]``.
        **kwargs: As for `linear_predict`.
    """
    predictions, rate = linear_predict(bank, bank_labels, queries, **kwargs)
    hits = predictions == np.asarray(query_labels)[:, None]
    return LinearAccuracy(float(hits[:, 0].mean()), float(hits.any(axis=1).mean()), rate)


def linear_predict(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    learning_rates: tuple[float, ...] | None = None,
    epochs: int = 90,
    batch_size: int = 256,
    seed: int = 0,
    optimizer: str = "sgd",
    augmented: Callable[[int], np.ndarray] | None = None,
) -> tuple[np.ndarray, float]:
    """The classes that a linear classifier gives each query, best first.

    As in the paper: momentum 0.9, cosine decay to zero, no weight decay, 90 epochs. The rate is
    the one that does best on a tenth of each class in the bank that is held out; the classifier of
    that rate is then trained on the whole bank. The queries are looked at once, at the end.

    Args:
        bank: float ``[N, D]``, features of the labelled training images.
        bank_labels: int ``[N]``, each at least 0.
        queries: float ``[Q, D]``, features of the test images.
        learning_rates: To choose from, for a batch of 256, scaled by batch_size / 256;
            `LEARNING_RATES` where None. The middle one is taken where nothing can be held out,
            because no class has two images.
        epochs: Epochs of each training.
        batch_size: Features a step; the whole bank where it is smaller. The paper's is 4096.
        seed: Of the part that is held out, the weights and the order.
        optimizer: "sgd", or "lars", the paper's for its large batch.
        augmented: Gives the features ``[N, D]`` of an epoch, in the order of the bank, to train on
            instead of those of the bank; see `keras_simsiam.evaluation.augmented_features`.

    Returns:
        int ``[Q, min(5, classes)]``, and the rate that was chosen.

    Raises:
        InputError: If sizes do not fit, or the bank has fewer than two classes.
    """
    check_choice("linear optimizer", optimizer, LEARNING_RATES)
    bank, queries = (np.asarray(v, np.float32) for v in (bank, queries))
    labels = np.asarray(bank_labels, np.int64)
    if len(bank) != len(labels) or bank.shape[1:] != queries.shape[1:]:
        raise InputError(
            f"features of shape {bank.shape} with {len(labels)} labels do not fit "
            f"queries of shape {queries.shape}"
        )
    if len(np.unique(labels)) < 2:
        raise InputError("a linear classifier needs training features of two classes or more")
    rates = np.asarray(learning_rates or LEARNING_RATES[optimizer], np.float32)
    training = _Training(
        augmented or (lambda epoch: bank),
        labels,
        classes=1 + int(labels.max()),
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        lars=optimizer == "lars",
    )
    held_out = part_of_each_class(labels, HELD_OUT, seed, spared=1)
    best = rates[len(rates) // 2]
    if len(held_out) and len(rates) > 1:
        tried = training.run(np.setdiff1d(np.arange(len(bank)), held_out), rates)
        hits = _ranked(tried, bank[held_out])[:, :, 0] == labels[held_out]
        best = rates[hits.mean(axis=1).argmax()]
    chosen = training.run(np.arange(len(bank)), best[None])
    return _ranked(chosen, queries)[0], float(best)


def part_of_each_class(labels: np.ndarray, part: float, seed: int, spared: int = 0) -> np.ndarray:
    """Positions of a random part of the examples of each class, at least one of each.

    Args:
        labels: int ``[N]``.
        part: Of each class, in (0, 1].
        seed: Of the choice.
        spared: How many of each class are never taken, though it leaves none to take.

    Returns:
        int64 positions, ascending.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    chosen = []
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        count = max(1, round(part * len(of_class)))
        chosen.append(of_class[: max(0, min(count, len(of_class) - spared))])
    return np.sort(np.concatenate(chosen))


class _Training(NamedTuple):
    """How classifiers are trained.

    Attributes:
        features: Of an epoch, ``[N, D]``.
        labels: int64 ``[N]``.
    """

    features: Callable[[int], np.ndarray]
    labels: np.ndarray
    classes: int
    epochs: int
    batch_size: int
    seed: int
    lars: bool

    def run(self, kept: np.ndarray, rates: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
        """Classifiers ``[R, D, C]`` and ``[R, C]``, one a rate, trained side by side."""
        batch_size = min(self.batch_size, len(kept))
        steps = len(kept) // batch_size
        generator = np.random.default_rng([self.seed, 1])
        dim = self.features(0).shape[1]
        draw = generator.normal(0, 0.01, (dim, self.classes)).astype(np.float32)
        weights = tf.Variable(np.repeat(draw[None], len(rates), 0))
        biases = tf.Variable(tf.zeros([len(rates), self.classes]))
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
            gradients = tape.gradient(loss, variables)
            for v, gradient, velocity in zip(variables, gradients, velocities, strict=True):
                if self.lars:
                    axes = list(range(1, v.shape.rank))  # each classifier has its own
                    gradient *= trust_ratio(v, gradient, axes=axes)
                velocity.assign(0.9 * velocity + gradient)
                v.assign_sub(tf.reshape(rate, [-1] + [1] * (v.shape.rank - 1)) * velocity)

        for epoch in range(self.epochs):
            features = np.asarray(self.features(epoch), np.float32)
            order = kept[generator.permutation(len(kept))]
            for i in range(steps):
                rows = order[i * batch_size : (i + 1) * batch_size]
                decay = 0.5 * (1 + np.cos(np.pi * (epoch * steps + i) / (self.epochs * steps)))
                rate = rates * np.float32(decay * batch_size / 256)
                step(features[rows], self.labels[rows], rate)
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
