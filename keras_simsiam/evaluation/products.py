"""Products of queries with rows of a bank: in float32, or in bfloat16 with a bound of the error."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from keras_simsiam.environment import multiplies_bfloat16

Block: TypeAlias = "np.ndarray | tf.Tensor"
"""Rows of a bank, ready to be multiplied."""


def unit(features: np.ndarray) -> np.ndarray:
    """Features divided by their norms, float32 ``[N, D]``; those of almost no length stay short."""
    features = np.asarray(features, np.float32)
    return features / norms(features)[:, None]


def norms(features: np.ndarray) -> np.ndarray:
    """Euclidean norms of float32 ``[N, D]``, at least 1e-6 and maybe infinite; float32 ``[N]``."""
    with np.errstate(over="ignore"):
        squares = np.einsum("nd,nd->n", features, features)
    return np.sqrt(np.maximum(squares, np.float32(1e-12)))


class Products:
    """Cosine similarities, in float32; on the GPU if there is one."""

    def __init__(self) -> None:
        self._on_gpu = bool(tf.config.list_logical_devices("GPU"))

    def block(self, rows: np.ndarray) -> Block:
        """Rows of the bank ``[n, D]``, ready to be multiplied."""
        return unit(rows)

    def with_queries(self, queries: np.ndarray) -> Callable[[Block], np.ndarray]:
        """A function from a block to its products, float32 ``[Q, n]``.

        Args:
            queries: float32 ``[Q, D]`` of norm 1.
        """
        if self._on_gpu:
            held = tf.constant(queries)
            return lambda rows: tf.matmul(held, rows, transpose_b=True).numpy()
        return lambda rows: queries @ rows.T


class Bfloat16Products(Products):
    """Products in bfloat16, from which `prove` tells whether the nearest neighbors are among them.

    Where the processor multiplies bfloat16, they take a third of the time. Products with the bank
    less a constant vector have the same order, and the closer rows are to that vector, the smaller
    the error.

    Args:
        sample: Rows of the bank, whose mean is the constant vector.
    """

    def __init__(self, sample: np.ndarray):
        self._center = unit(sample).mean(axis=0)
        self._longest = self._error = 0.0

    @staticmethod
    def pay(bank: np.ndarray, queries: np.ndarray, k: int) -> bool:
        """Whether they save time: single rows of the bank must be at hand, and much to be compared.

        Args:
            bank: ``[N, D]``.
            queries: ``[Q, D]``.
            k: Number of neighbors.
        """
        return (
            multiplies_bfloat16()
            and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0"
            # With fewer instructions than the processor has, oneDNN crashes.
            and not {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"} & os.environ.keys()
            and not tf.config.list_logical_devices("GPU")
            and not isinstance(bank, np.memmap)
            and bank.size >= 2**22
            and len(queries) >= 256
            and 50 * k <= len(bank)
        )

    @staticmethod
    def proposals(k: int) -> int:
        """How many of the largest products are to be compared exactly, for k neighbors."""
        return k + max(k // 3, 32)

    def block(self, rows: np.ndarray) -> Block:
        """Rows of the bank less the constant vector, bfloat16 ``[n, D]``."""
        if not len(rows):
            return rows
        centered = unit(rows) - self._center
        rounded = tf.cast(centered, tf.bfloat16)
        self._longest = max(self._longest, norms(centered).max())
        self._error = max(self._error, norms(centered - np.asarray(rounded, np.float32)).max())
        return rounded

    def with_queries(self, queries: np.ndarray) -> Callable[[Block], np.ndarray]:
        """A function from a block to its products, bfloat16 ``[Q, n]``."""
        held = tf.cast(queries, tf.bfloat16)
        return lambda rows: tf.matmul(held, rows, transpose_b=True).numpy()

    def prove(self, queries: np.ndarray, least: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """Whether no row that was not proposed can be among the nearest; bool ``[Q]``.

        Args:
            queries: float32 ``[Q, D]`` of norm 1.
            least: The smallest product of a proposed row, float32 ``[Q]``.
            similarity: The exact similarity of the last neighbor, float32 ``[Q]``.
        """
        rounded = np.asarray(tf.cast(queries, tf.bfloat16), np.float32)
        # By the Cauchy-Schwarz inequality, for the rounding of queries and of rows; each sum of D
        # terms in float32 adds at most D rounding errors.
        error = norms(queries - rounded) * self._longest + norms(rounded) * self._error
        error += queries.shape[1] * 2.0**-23 * (1 + self._longest)
        # The product itself was rounded to the 8 bits of bfloat16.
        largest = least + np.abs(least) * 2.0**-8 + error
        return similarity - queries @ self._center > largest
