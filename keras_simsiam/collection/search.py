"""The most similar vectors of a collection."""

from __future__ import annotations

import importlib
import math

import numpy as np
import tensorflow as tf

LARGE = 100_000
"""From this many vectors on, faiss searches an index, if it is installed: nearly exact, in less
than quadratic time."""

_AT_ONCE = 50_000_000
"""The most similarities computed at a time: 200 MB."""

_SEARCHED = 32
"""How many cells of its index faiss searches."""


def nearest(bank: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k vectors of a bank with the largest inner products with each query, largest first.

    Args:
        bank: float32 ``[N, D]``.
        queries: float32 ``[Q, D]``.
        k: At most N.

    Returns:
        Inner products float32 ``[Q, k]``, and rows of the bank int64 ``[Q, k]``.
    """
    if len(bank) >= LARGE and (index := _faiss_index(bank)) is not None:
        return index.search(queries, k)
    held = tf.constant(bank)
    chunk = max(1, _AT_ONCE // len(bank))
    found = [
        tf.math.top_k(tf.matmul(queries[i : i + chunk], held, transpose_b=True), k)
        for i in range(0, len(queries), chunk)
    ]
    products, rows = (np.concatenate(part) for part in zip(*found, strict=True))
    return products, rows.astype(np.int64)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors divided by their lengths, float32; a vector of zeros stays one."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(length, 1e-12)).astype(np.float32)


def others(bank: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k vectors of a bank that are nearest to each, without itself; see `nearest`."""
    products, rows = nearest(bank, bank, min(k + 1, len(bank)))
    # Itself, or the last where equal vectors have taken its place.
    own = rows == np.arange(len(bank))[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(bank), rows.shape[1] - 1)
    return products[~own].reshape(shape), rows[~own].reshape(shape)


def _faiss_index(bank: np.ndarray):
    try:
        faiss = importlib.import_module("faiss")
    except ImportError:
        return None
    cells = round(4 * math.sqrt(len(bank)))
    quantizer = faiss.IndexFlatIP(bank.shape[1])
    index = faiss.IndexIVFFlat(quantizer, bank.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = _SEARCHED
    index.train(bank[:: max(1, len(bank) // (64 * cells))])
    index.add(bank)
    return index
