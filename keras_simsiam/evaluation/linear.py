"""The linear probe of frozen features (paper, Section 4 and Appendix A 'Linear evaluation')."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

import numpy as np
import tensorflow as tf

from keras_simsiam.arrays import as_features, as_labels
from keras_simsiam.errors import InputError, shown
from keras_simsiam.evaluation.features import check_features, top_accuracies
from keras_simsiam.fields import Bounds, Count, Seed, checks_arguments
from keras_simsiam.optimizers import trust_ratio
from keras_simsiam.probes import LinearOptimizer
from keras_simsiam.workers import ALONE, Workers

LEARNING_RATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Learning rates to choose from, for a batch of 256. On ResNet-50's features of ImageNet, the
authors use 30 with SGD and 0.1 with LARS."""

HELD_OUT = 0.1
"""Share of the training features of each class on which the learning rate is chosen."""


_LOGITS = 10_000_000
"""The most logits computed at a time to rank classes: 40 MB."""


class LinearAccuracy(NamedTuple):
    """Accuracy of a linear classifier.

    Attributes:
        top1: Share of queries, in [0, 1], whose class is ranked first.
        top5: Share whose class is ranked among the first five.
        learning_rate: The learning rate that was chosen.
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
    """Accuracy of a linear classifier trained on the features of the bank.

    Args:
        bank: float ``[N, D]``, features of the labeled training images.
        bank_labels: Class numbers ``[N]``, see `keras_simsiam.arrays.as_labels`.
        queries: float ``[Q, D]``, features of the test images.
        query_labels: Class numbers ``[Q]``.
        **kwargs: See `linear_predict`.

    Returns:
        Top-1 and top-5 accuracy, each in [0, 1], and the learning rate that was chosen.

    Raises:
        InputError: See `linear_predict`.
    """
    queries = as_features(queries, "queries")
    query_labels = as_labels(query_labels, len(queries), "query_labels")
    predicted, rate = linear_predict(bank, bank_labels, queries, **kwargs)
    return LinearAccuracy(*top_accuracies(predicted, query_labels), rate)


@checks_arguments
def linear_predict(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    learning_rates: Annotated[tuple[float, ...], Bounds(above=0)] | None = None,
    epochs: Count = 90,
    batch_size: Count = 256,
    seed: Seed = 0,
    optimizer: LinearOptimizer = "sgd",
    augmented: Callable[[int], np.ndarray] | None = None,
    workers: Workers = ALONE,
) -> tuple[np.ndarray, float]:
    """The classes that a linear classifier predicts for each query, best first.

    As in the paper: momentum 0.9, cosine decay to zero, no weight decay, 90 epochs. The learning
    rate is the best on a held-out tenth of each class in the bank; a classifier is then trained
    with it on the whole bank. The queries are only used at the end.

    Args:
        bank: float ``[N, D]``.
        bank_labels: Class numbers ``[N]``, see `keras_simsiam.arrays.as_labels`, of two classes or
            more.
        queries: float ``[Q, D]``.
        learning_rates: Learning rates to choose from, for a batch of 256; they are scaled by
            batch_size / 256. If None, `LEARNING_RATES`. If no class has two features, nothing can
            be held out, and the middle rate is taken.
        epochs: Epochs of each training.
        batch_size: Features per step, at most N. The paper's is 4096.
        seed: Seed of the held-out part, the weights and the order.
        optimizer: "sgd", or "lars", the paper's for its large batch.
        augmented: A function from the number of an epoch to the features ``[N, D]`` to train on in
            that epoch, in the order of the bank; see `augmented_features`. If None, the bank.
        workers: The processes that each try some of the learning rates, and must all call this
            with the same arguments.

    Returns:
        int ``[Q, min(5, classes)]``, and the learning rate that was chosen.

    Raises:
        InputError: If features are empty or not finite, shapes do not match, labels are not class
            numbers, the bank has fewer than two classes, or another argument is out of range.
    """
    bank, labels, queries = check_features(bank, bank_labels, queries)
    found = len(np.unique(labels))
    if found < 2:
        raise InputError(f"bank_labels must have at least two classes; got {found}")
    rates = np.asarray(LEARNING_RATES if learning_rates is None else learning_rates, np.float32)
    if not len(rates):
        raise InputError("learning_rates must have at least one number; got none")

    def features(epoch: int) -> np.ndarray:
        if augmented is None:
            return bank
        found = as_features(augmented(epoch), "augmented's features")
        if found.shape != bank.shape:
            raise InputError(f"augmented must give features {[*bank.shape]}; got {shown(found)}")
        return found

    training = _Training(
        features,
        labels,
        dim=bank.shape[1],
        classes=1 + int(labels.max()),
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        lars=optimizer == "lars",
    )
    held_out = part_of_each_class(labels, HELD_OUT, seed, spared=1)
    best = rates[len(rates) // 2]
    if len(held_out) and len(rates) > 1:
        # At least one each, as all must take part in what `augmented` computes together.
        own = np.arange(len(rates))[workers.index % len(rates) :: workers.count]
        tried = training.run(np.setdiff1d(np.arange(len(bank)), held_out), rates[own])
        hits = np.zeros(len(rates))
        hits[own] = (_ranked(tried, bank, held_out)[:, :, 0] == labels[held_out]).mean(axis=1)
        best = rates[workers.gather(hits[None]).max(axis=0).argmax()]
    chosen = training.run(np.arange(len(bank)), best[None])
    return _ranked(chosen, queries, np.arange(len(queries)))[0], float(best)


def part_of_each_class(labels: np.ndarray, part: float, seed: int, spared: int = 0) -> np.ndarray:
    """Positions of a random share of the examples of each class, at least one of each.

    Args:
        labels: int ``[N]``.
        part: Share of each class, in (0, 1].
        seed: Seed of the choice.
        spared: How many examples of each class must not be chosen, even if that leaves none.

    Returns:
        int64 positions, ascending.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    _, first, count = np.unique(labels[by_class], return_index=True, return_counts=True)
    most = np.maximum(0, np.minimum(np.maximum(1, np.round(part * count)), count - spared))
    place = np.arange(len(labels)) - np.repeat(first, count)  # within the class
    return np.sort(by_class[place < np.repeat(most, count)])


class _Training(NamedTuple):
    """Trains classifiers, one for each of several learning rates.

    Attributes:
        features: A function from the number of an epoch to features ``[N, D]``.
        labels: int64 ``[N]``.
        dim: Dimension of the features, D.
        classes: Number of classes, C.
        epochs: Epochs of the training.
        batch_size: Features per step, if there are as many.
        seed: Seed of the weights and the order.
        lars: Whether LARS adapts the learning rates.
    """

    features: Callable[[int], np.ndarray]
    labels: np.ndarray
    dim: int
    classes: int
    epochs: int
    batch_size: int
    seed: int
    lars: bool

    def run(self, kept: np.ndarray, rates: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
        """Trains one classifier per learning rate, all of them at once.

        Args:
            kept: int ``[n]``, positions of the features to train on.
            rates: float32 ``[R]``, learning rates for a batch of 256.

        Returns:
            Weights ``[R, D, C]`` and biases ``[R, C]``.
        """
        batch_size = min(self.batch_size, len(kept))
        steps = len(kept) // batch_size
        generator = np.random.default_rng([self.seed, 1])
        count, classes = len(rates), self.classes
        draw = generator.normal(0, 0.01, (self.dim, classes)).astype(np.float32)
        # Side by side, so that all classifiers together are one matrix product.
        weights = tf.Variable(np.tile(draw, [1, count]))
        biases = tf.Variable(tf.zeros([count * classes]))
        variables = (weights, biases)
        velocities = [tf.Variable(tf.zeros_like(v)) for v in variables]

        @tf.function
        def step(x, y, decay):
            with tf.GradientTape() as tape:
                logits = tf.reshape(tf.matmul(x, weights) + biases, [-1, classes])
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.repeat(y, count), logits)
                of_each = tf.reduce_mean(tf.reshape(losses, [-1, count]), axis=0)
                # The classifiers share no weight, so the sum has the gradients of each, times its
                # learning rate.
                loss = tf.reduce_sum(of_each if self.lars else rates * of_each)
            gradients = tape.gradient(loss, variables)
            for v, gradient, velocity in zip(variables, gradients, velocities, strict=True):
                if self.lars:
                    gradient = _adapted(v, gradient, rates)
                tf.raw_ops.ResourceApplyMomentum(
                    var=v.handle, accum=velocity.handle, lr=decay, grad=gradient, momentum=0.9
                )

        for epoch in range(self.epochs):
            features = np.asarray(self.features(epoch), np.float32)
            order = kept[generator.permutation(len(kept))]
            for i in range(steps):
                rows = order[i * batch_size : (i + 1) * batch_size]
                decay = 0.5 * (1 + np.cos(np.pi * (epoch * steps + i) / (self.epochs * steps)))
                step(features[rows], self.labels[rows], np.float32(decay * batch_size / 256))
        shape = [self.dim, count, classes]
        return (
            tf.transpose(tf.reshape(weights, shape), [1, 0, 2]),
            tf.reshape(biases, [count, classes]),
        )


def _adapted(v: tf.Variable, gradient: tf.Tensor, rates: np.ndarray) -> tf.Tensor:
    """The gradient of classifiers side by side, times the learning rate of LARS of each."""
    each = [*v.shape[:-1], len(rates), v.shape[-1] // len(rates)]
    values, gradients = tf.reshape(v, each), tf.reshape(gradient, each)
    axes = [i for i in range(len(each)) if i != len(each) - 2]  # a ratio per classifier
    ratio = trust_ratio(values, gradients, axes=axes)
    return tf.reshape(gradients * ratio * rates[:, None], v.shape)


def _ranked(
    classifiers: tuple[tf.Tensor, tf.Tensor], features: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """The five best classes by each classifier for rows of the features, ``[R, n, min(5, C)]``.

    They are -1, which is never a label, if the classifier's training diverged.
    """
    weights, biases = classifiers
    best = []
    at_once = max(1, _LOGITS // int(tf.size(biases)))
    for i in range(0, len(rows), at_once):
        logits = tf.einsum("bd,rdc->rbc", features[rows[i : i + at_once]], weights)
        logits += biases[:, None]
        usable = tf.reduce_all(tf.math.is_finite(logits), axis=-1, keepdims=True)
        found = tf.math.top_k(logits, min(5, weights.shape[-1])).indices
        best.append(tf.where(usable, found, -1).numpy())
    return np.concatenate(best, axis=1)
