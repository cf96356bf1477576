"""Weighted k-nearest-neighbor classification of frozen features (Wu et al. 2018).

The paper monitors training with it (Section 4.1, Figure 2): it has no weights to fit and no
learning rate to choose.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_simsiam.arrays import as_features, as_labels
from keras_simsiam.evaluation.features import check_features, top_accuracies
from keras_simsiam.fields import Count, Positive, checks_arguments

_SIMILARITIES = 50_000_000
"""The most similarities, or votes, computed at a time: 200 MB."""


class KNNAccuracy(NamedTuple):
    """Accuracy of a kNN vote.

    Attributes:
        top1: Share of queries, in [0, 1], whose class gets the most votes.
        top5: Share whose class is among the five with the most votes.
    """

    top1: float
    top5: float


@checks_arguments
def knn_accuracy(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    query_labels: np.ndarray,
    k: Count = 200,
    temperature: Positive = 0.1,
) -> KNNAccuracy:
    """Accuracy of a weighted vote of each query's nearest neighbors in the bank.

    Args:
        bank: float ``[N, D]``, features of the labeled training images.
        bank_labels: Class numbers ``[N]``, see `keras_simsiam.arrays.as_labels`.
        queries: float ``[Q, D]``, features of the test images.
        query_labels: Class numbers ``[Q]``.
        k: Number of neighbors that vote. If the bank is smaller, all of it votes, with a warning.
        temperature: Temperature of the vote: a neighbor weighs exp(cosine / temperature).

    Returns:
        Top-1 and top-5 accuracy, each in [0, 1].

    Raises:
        InputError: See `knn_predict`.
    """
    queries = as_features(queries, "queries")
    query_labels = as_labels(query_labels, len(queries), "query_labels")
    predicted = knn_predict(bank, bank_labels, queries, k, temperature)
    return KNNAccuracy(*top_accuracies(predicted, query_labels))


@checks_arguments
def knn_predict(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    k: Count = 200,
    temperature: Positive = 0.1,
) -> np.ndarray:
    """The classes with the most votes for each query, best first.

    Args:
        bank: float ``[N, D]``, N ≥ 1.
        bank_labels: Class numbers ``[N]``, see `keras_simsiam.arrays.as_labels`.
        queries: float ``[Q, D]``, Q ≥ 1.
        k: See `knn_accuracy`.
        temperature: See `knn_accuracy`.

    Returns:
        int ``[Q, min(5, classes)]``.

    Raises:
        InputError: If features are empty or not finite, shapes do not match, labels are not class
            numbers, or k or temperature is not positive.
    """
    bank, bank_labels, queries = check_features(bank, bank_labels, queries)
    if k > len(bank):
        warnings.warn(f"k={k} exceeds the size of the kNN bank; using {len(bank)}", stacklevel=3)
        k = len(bank)
    classes = int(bank_labels.max()) + 1
    normalized = tf.math.l2_normalize(tf.cast(bank, tf.float32), axis=1)
    labels = tf.constant(bank_labels, tf.int64)
    chunk = max(1, _SIMILARITIES // max(len(bank), classes))
    return np.concatenate(
        [
            _vote(normalized, labels, queries[i : i + chunk], k, temperature, classes).numpy()
            for i in range(0, len(queries), chunk)
        ]
    )


def _vote(bank, labels, queries, k: int, temperature: float, classes: int) -> tf.Tensor:
    """The best classes for a chunk of queries, int32 ``[Q, min(5, classes)]``."""
    queries = tf.math.l2_normalize(tf.cast(queries, tf.float32), axis=1)
    similarity, neighbors = _top_k(tf.matmul(queries, bank, transpose_b=True), k)
    # Multiplying all weights of a query by one factor changes no vote; with this one they are at
    # most 1, so that none overflows.
    weight = tf.exp((similarity - similarity[:, :1]) / temperature)
    # One segment per query and class, so that each weight is added once.
    count = len(queries)
    segment = tf.range(count, dtype=tf.int64)[:, None] * classes + tf.gather(labels, neighbors)
    votes = tf.math.unsorted_segment_sum(
        tf.reshape(weight, [-1]), tf.reshape(segment, [-1]), count * classes
    )
    return tf.math.top_k(tf.reshape(votes, [count, classes]), min(5, classes)).indices


def _top_k(values: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """`tf.math.top_k` for long rows ``[Q, N]``, in three quarters of its time.

    The k largest values are in the k blocks with the largest maxima, so only those are searched.
    """
    rows, columns = values.shape
    block = math.isqrt(columns // k)
    if block < 2:
        return tf.math.top_k(values, k)
    # Preferably a divisor of the row's length: padding copies everything.
    block = next((n for n in range(block, 2 * block) if columns % n == 0), block)
    blocks = -(-columns // block)
    if blocks * block > columns:
        gap = [[0, 0], [0, blocks * block - columns]]
        values = tf.pad(values, gap, constant_values=-math.inf)
    values = tf.reshape(values, [rows, blocks, block])
    # In the order of the bank, so that the first of equal values is taken, as by top_k.
    chosen = tf.sort(tf.math.top_k(tf.reduce_max(values, axis=2), k).indices, axis=1)
    candidates = tf.reshape(tf.gather(values, chosen, batch_dims=1), [rows, k * block])
    found, place = tf.math.top_k(candidates, k)
    return found, tf.gather(chosen, place // block, batch_dims=1) * block + place % block
