"""Weighted k-nearest-neighbor classification of frozen features (Wu et al. 2018).

The paper monitors training with it (Section 4.1, Figure 2): it has no weights to fit and no
learning rate to choose.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_simsiam.arrays import as_features, as_labels
from keras_simsiam.evaluation.features import check_features, top_accuracies
from keras_simsiam.evaluation.nearest import nearest
from keras_simsiam.fields import Count, Positive, checks_arguments
from keras_simsiam.workers import ALONE, Workers

_VOTES = 10_000_000
"""The most votes counted at a time: 40 MB."""


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
    workers: Workers = ALONE,
) -> KNNAccuracy:
    """Accuracy of a weighted vote of each query's nearest neighbors in the bank.

    Args:
        bank: float ``[N, D]``, features of the labeled training images.
        bank_labels: Class numbers ``[N]``, see `keras_simsiam.arrays.as_labels`.
        queries: float ``[Q, D]``, features of the test images.
        query_labels: Class numbers ``[Q]``.
        k: Number of neighbors that vote. If the bank is smaller, all of it votes, with a warning.
        temperature: Temperature of the vote: a neighbor weighs exp(cosine / temperature).
        workers: See `knn_predict`.

    Returns:
        Top-1 and top-5 accuracy, each in [0, 1].

    Raises:
        InputError: See `knn_predict`.
    """
    queries = as_features(queries, "queries")
    query_labels = as_labels(query_labels, len(queries), "query_labels")
    predicted = knn_predict(bank, bank_labels, queries, k, temperature, workers)
    return KNNAccuracy(*top_accuracies(predicted, query_labels))


@checks_arguments
def knn_predict(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    k: Count = 200,
    temperature: Positive = 0.1,
    workers: Workers = ALONE,
) -> np.ndarray:
    """The classes with the most votes for each query, best first.

    Args:
        bank: float ``[N, D]``, N ≥ 1.
        bank_labels: Class numbers ``[N]``, see `keras_simsiam.arrays.as_labels`.
        queries: float ``[Q, D]``, Q ≥ 1.
        k: See `knn_accuracy`.
        temperature: See `knn_accuracy`.
        workers: The processes that search together, and must all call this. Each gives its share
            of the bank, rows ``index``, ``index + count`` and so on, with the labels of all of it
            and all queries, and gets the classes of all queries.

    Returns:
        int ``[Q, min(5, classes)]``.

    Raises:
        InputError: If features are empty or not finite, shapes do not match, labels are not class
            numbers, or k or temperature is not positive.
    """
    bank, bank_labels, queries = check_features(bank, bank_labels, queries, workers)
    if k > len(bank_labels):
        warnings.warn(
            f"k={k} exceeds the size of the kNN bank; using {len(bank_labels)}", stacklevel=3
        )
        k = len(bank_labels)
    classes = int(bank_labels.max()) + 1
    similarity, neighbors = nearest(bank, queries, k, workers)
    chunk = max(1, _VOTES // max(k, classes))
    voted = []
    for i in range(0, len(queries), chunk):
        labels = bank_labels[neighbors[i : i + chunk]]
        voted.append(_vote(similarity[i : i + chunk], labels, temperature, classes))
    return np.concatenate(voted)


def _vote(similarity, labels, temperature: float, classes: int) -> np.ndarray:
    """The best classes of queries by the similarities and labels ``[Q, k]`` of their neighbors."""
    # Multiplying all weights of a query by one factor changes no vote; with this one they are at
    # most 1, so that none overflows.
    weight = tf.exp((similarity - similarity[:, :1]) / temperature)
    # One segment per query and class, so that each weight is added once.
    count = len(labels)
    segment = np.arange(count)[:, None] * classes + labels
    votes = tf.math.unsorted_segment_sum(tf.reshape(weight, [-1]), segment.ravel(), count * classes)
    return tf.math.top_k(tf.reshape(votes, [count, classes]), min(5, classes)).indices.numpy()
