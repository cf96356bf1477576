"""Which images cover a collection, and which are unlike all others."""

from __future__ import annotations

import numpy as np

from keras_simsiam.arrays import as_features
from keras_simsiam.collection.search import others
from keras_simsiam.evaluation.products import unit
from keras_simsiam.fields import Count, checks_arguments


@checks_arguments
def farthest_first(features: np.ndarray, count: Count) -> tuple[np.ndarray, np.ndarray]:
    """Images that cover a collection: each is the one farthest from those before it.

    No choice of as many images covers the collection within less than half of the last distance
    (Gonzalez 1985).

    Args:
        features: float ``[N, D]``; distances are those of their directions.
        count: The most images to choose. Fewer are chosen if all others equal one of them.

    Returns:
        Rows int ``[n]``, the one nearest to the mean first, and float ``[n]``, how far the farthest
        image is from all chosen up to then, from 0 to 2.
    """
    vectors = unit(as_features(features))
    chosen = [int(np.argmax(vectors @ vectors.mean(axis=0)))]
    squares = np.full(len(vectors), np.inf)
    radii = []
    while True:
        squares = np.minimum(squares, np.maximum(2 - 2 * (vectors @ vectors[chosen[-1]]), 0))
        squares[chosen[-1]] = 0
        radii.append(float(np.sqrt(squares.max())))
        if len(chosen) == min(count, len(vectors)) or radii[-1] < 1e-3:
            return np.array(chosen), np.array(radii)
        chosen.append(int(np.argmax(squares)))


@checks_arguments
def outliers(
    features: np.ndarray, count: Count, neighbors: Count = 10
) -> tuple[np.ndarray, np.ndarray]:
    """The images farthest from their k-th nearest neighbor (Ramaswamy et al. 2000).

    Args:
        features: float ``[N, D]``; distances are those of their directions.
        count: The most images to return.
        neighbors: k.

    Returns:
        Rows int ``[n]``, the most unlike first, and their distances float ``[n]``, from 0 to 2.
    """
    vectors = unit(as_features(features))
    if len(vectors) == 1:
        return np.zeros(1, int), np.zeros(1)
    products, _ = others(vectors, min(neighbors, len(vectors) - 1))
    distances = np.sqrt(np.maximum(2 - 2 * products[:, -1], 0))
    rows = np.argsort(-distances, kind="stable")[:count]
    return rows, distances[rows]
