"""Weighted k-nearest-neighbour classification of frozen features (Wu et al. 2018).

The paper's monitor of training (Section 4.1, Figure 2): no weights to fit, no rate to choose.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_simsiam.errors import InputError

_SIMILARITIES = 50_000_000
"""Similarities held at a time, 200 MB of them: what bounds the memory."""


class KNNAccuracy(NamedTuple):
    """Parts of the queries, in [0, 1], whose class got the most votes, or one of the five most."""

    top1: float
    top5: float


def knn_accuracy(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    query_labels: np.ndarray,
    k: int = 200,
    temperature: float = 0.1,
) -> KNNAccuracy:
    """Accuracy of the vote of each query's neighbours in the bank.

    Args:
        bank: float ``[N, D]``, features of the labelled training images.
        bank_labels: int ``[N]``.
        queries: float ``[Q, D]``, features of the test images.
        query_labels: int ``[Q]``.
        k: Neighbours that vote; the whole bank, with a warning, where it is smaller.
        temperature: A neighbour's vote weighs exp(cosine / temperature).
    """
    top = knn_predict(bank, bank_labels, queries, k, temperature)
    hits = top == np.asarray(query_labels)[:, None]
    return KNNAccuracy(float(hits[:, 0].mean()), float(hits.any(axis=1).mean()))


def knn_predict(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    k: int = 200,
    temperature: float = 0.1,
) -> np.ndarray:
    """The classes with the most votes for each query, best first.

    Args:
        bank: As for `knn_accuracy`, as the rest.
        bank_labels: int ``[N]``, each at least 0.
        queries: float ``[Q, D]``.
        k: Neighbours that vote.
        temperature: Of the vote.

    Returns:
        int ``[Q, min(5, classes)]``.

    Raises:
        InputError: If the bank is empty, or sizes or k or temperature do not fit.
    """
    bank_labels = np.asarray(bank_labels)
    if len(bank) != len(bank_labels) or not len(bank) or bank.shape[1:] != queries.shape[1:]:
        raise InputError(
            f"a kNN bank of shape {bank.shape} with {len(bank_labels)} labels does not fit "
            f"queries of shape {queries.shape}"
        )
    if k < 1 or not temperature > 0:
        raise InputError(f"kNN needs k ≥ 1 and temperature > 0, not {k} and {temperature}")
    if k > len(bank):
        warnings.warn(f"kNN: k={k} is more than the bank holds; using {len(bank)}", stacklevel=2)
        k = len(bank)
    classes = int(bank_labels.max()) + 1
    normalized = tf.math.l2_normalize(tf.cast(bank, tf.float32), axis=1)
    labels = tf.constant(bank_labels, tf.int64)
    chunk = max(1, _SIMILARITIES // len(bank))
    return np.concatenate(
        [
            _vote(normalized, labels, queries[i : i + chunk], k, temperature, classes).numpy()
            for i in range(0, len(queries), chunk)
        ]
    )


def _vote(bank, labels, queries, k: int, temperature: float, classes: int) -> tf.Tensor:
    """The best classes of one chunk of queries."""
    queries = tf.math.l2_normalize(tf.cast(queries, tf.float32), axis=1)
    similarity, neighbours = _top_k(tf.matmul(queries, bank, transpose_b=True), k)
    # Shifting all weights of a query by one factor changes no vote, and cannot overflow.
    weight = tf.exp((similarity - similarity[:, :1]) / temperature)
    # One segment for each query and class, so that each weight is added once.
    count = len(queries)
    segment = tf.range(count, dtype=tf.int64)[:, None] * classes + tf.gather(labels, neighbours)
    votes = tf.math.unsorted_segment_sum(
        tf.reshape(weight, [-1]), tf.reshape(segment, [-1]), count * classes
    )
    return tf.math.top_k(tf.reshape(votes, [count, classes]), min(5, classes)).indices


def _top_k(values: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """`tf.math.top_k` of long rows ``[Q, N]``, in three quarters of its time.

    The k largest values lie in the k blocks whose own largest values are largest, so only those
    blocks need to be sorted.
    """
    rows, columns = values.shape
    block = math.isqrt(columns // k)
    if block < 2:
        return tf.math.top_k(values, k)
    # One that needs no padding, if there is one near: padding copies all.
    block = next((n for n in range(block, 2 * block) if columns % n == 0), block)
    blocks = -(-columns // block)
    if blocks * block > columns:
        gap = [[0, 0], [0, blocks * block - columns]]
        values = tf.pad(values, gap, constant_values=-math.inf)
    values = tf.reshape(values, [rows, blocks, block])
    # In the order of the bank, so that of equal values the first is taken, as top_k does.
    chosen = tf.sort(tf.math.top_k(tf.reduce_max(values, axis=2), k).indices, axis=1)
    candidates = tf.reshape(tf.gather(values, chosen, batch_dims=1), [rows, k * block])
    found, place = tf.math.top_k(candidates, k)
    return found, tf.gather(chosen, place // block, batch_dims=1) * block + place % block
