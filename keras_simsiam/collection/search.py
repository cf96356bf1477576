"""The nearest neighbors of each image of a collection."""

from __future__ import annotations

import importlib
import math

import numpy as np

from keras_simsiam.evaluation.nearest import nearest
from keras_simsiam.evaluation.products import unit

LARGE = 100_000
"""From this many vectors on, faiss searches an index, if it is installed: nearly exact, in less
than quadratic time."""

_SEARCHED = 32
"""How many cells of its index faiss searches."""


def others(bank: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k vectors of a bank that are most similar to each, without itself.

    Args:
        bank: float32 ``[N, D]``, finite.
        k: Fewer are returned if the bank is smaller.

    Returns:
        Cosine similarities float32 ``[N, k]``, largest first, and rows of the bank int64
        ``[N, k]``.
    """
    count = min(k + 1, len(bank))
    found = _by_faiss(unit(bank), count) if len(bank) >= LARGE else None
    similarity, rows = found or nearest(bank, bank, count)
    # Itself, or the last where equal vectors have taken its place.
    own = rows == np.arange(len(bank))[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(bank), count - 1)
    return similarity[~own].reshape(shape), rows[~own].reshape(shape)


def _by_faiss(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray] | None:
    """What `nearest` finds of vectors among themselves; None if faiss is not installed."""
    try:
        faiss = importlib.import_module("faiss")
    except ImportError:
        return None
    cells = round(4 * math.sqrt(len(vectors)))
    quantizer = faiss.IndexFlatIP(vectors.shape[1])
    index = faiss.IndexIVFFlat(quantizer, vectors.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = _SEARCHED
    index.train(vectors[:: max(1, len(vectors) // (64 * cells))])
    index.add(vectors)
    return index.search(vectors, k)
