"""kNN queries per second: ``python -m experiments.benchmarks.knn``.

All rivals find the k nearest neighbors of every query by cosine similarity and let them vote, as
in the paper's kNN monitor. Needs ``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable

import numpy as np

from experiments.benchmarks import common
from keras_simsiam import options

TEMPERATURE = 0.1
CLASSES = 200


def main(argv: list[str] | None = None) -> None:
    """Measures the rivals in turn."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bank", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--k", type=int, default=200)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(argv)
    makers = {common.OURS: ours, "faiss IndexFlatIP": faiss_flat, "scikit-learn": sklearn_brute}
    sizes = (args.bank, args.queries, args.dim, args.k)
    sized = {name: functools.partial(make, *sizes) for name, make in makers.items()}
    with common.processes(sized, cores=args.cores, seconds=0) as rivals:
        found = common.paired(rivals, args.rounds)
    title = f"kNN, {args.queries:,} queries in {args.bank:,} of {args.dim} dimensions, k={args.k}"
    common.report("knn", title, "queries/s", found)


def features(bank: int, queries: int, dim: int) -> tuple[np.ndarray, ...]:
    """Clustered unit vectors, like an encoder's features: the bank, its labels and queries."""
    random = np.random.RandomState(0)
    centers = random.randn(CLASSES, dim)
    labels = random.randint(0, CLASSES, bank + queries)
    found = centers[labels] + 2 * random.randn(bank + queries, dim)
    found = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return found[:bank], labels[:bank], found[bank:]


def vote(similarity: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The predicted class of each query, given its neighbors ``[Q, k]``."""
    weight = np.exp((similarity - similarity.max(axis=1, keepdims=True)) / TEMPERATURE)
    segment = np.arange(len(labels))[:, None] * CLASSES + labels
    votes = np.bincount(segment.ravel(), weight.ravel(), len(labels) * CLASSES)
    return votes.reshape(-1, CLASSES).argmax(axis=1)


def ours(bank: int, queries: int, dim: int, k: int) -> Callable[[], int]:
    """The package's `knn_predict`."""
    from keras_simsiam.evaluation.knn import knn_predict

    held, labels, asked = features(bank, queries, dim)
    return lambda: len(knn_predict(held, labels, asked, k, TEMPERATURE))


def faiss_flat(bank: int, queries: int, dim: int, k: int) -> Callable[[], int]:
    """faiss's exact search by inner product."""
    import faiss

    held, labels, asked = features(bank, queries, dim)

    def predict() -> int:
        index = faiss.IndexFlatIP(dim)
        index.add(held)
        similarity, neighbors = index.search(asked, k)
        return len(vote(similarity, labels[neighbors]))

    return predict


def sklearn_brute(bank: int, queries: int, dim: int, k: int) -> Callable[[], int]:
    """scikit-learn's brute-force search by cosine distance."""
    from sklearn.neighbors import NearestNeighbors

    held, labels, asked = features(bank, queries, dim)

    def predict() -> int:
        search = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(held)
        distance, neighbors = search.kneighbors(asked)
        return len(vote(1 - distance, labels[neighbors]))

    return predict


if __name__ == "__main__":
    options.run_command(main)
