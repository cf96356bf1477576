"""Exact search for the nearest neighbors by cosine similarity, at the speed of a matrix product."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from keras_simsiam.environment import cores
from keras_simsiam.evaluation.products import Bfloat16Products, Block, Products, norms, unit
from keras_simsiam.workers import ALONE, Workers

_QUERIES = 1024
"""The most queries of a matrix product. With `_TILE` columns, its 8 MB fit into a cache."""

_TILE = 2048
"""Rows of the bank in a matrix product."""

_BLOCK = 8192
"""Rows of the bank that are normalized at a time: 17 MB with 512 dimensions."""

_CANDIDATES = 2**23
"""The most candidates that are held at a time, over all queries: 67 MB."""

_LOWER = 2**32 - 1
"""The lower half of a candidate."""


def nearest(
    bank: np.ndarray, queries: np.ndarray, k: int, workers: Workers = ALONE
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of the bank that are most similar to each query.

    The bank is read in order, a block at a time, so it may be mapped from a file; no copy of it is
    made. Each block is compared with all queries.

    Args:
        bank: float ``[N, D]``, finite.
        queries: float ``[Q, D]``, finite.
        k: At most N.
        workers: The processes that search together. Each gives its share of the bank, and all
            queries; N is the size of all of it.

    Returns:
        Cosine similarities float32 ``[Q, k]``, largest first, and the positions of these rows in
        the bank, int64 ``[Q, k]``. Of equally similar rows, the first is taken.
    """
    at_once = max(1, _CANDIDATES // (3 * k))
    parts = [queries[i : i + at_once] for i in range(0, len(queries), at_once)]
    lengths = functools.cache(lambda: norms(np.asarray(bank, np.float32)))
    own = min(k, len(bank))
    found = (_merged(*_nearest(bank, lengths, part, own), k, workers) for part in parts)
    similarity, rows = zip(*found, strict=True)
    return np.concatenate(similarity), np.concatenate(rows)


def _merged(
    similarity: np.ndarray, rows: np.ndarray, k: int, workers: Workers
) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar rows ``[Q, k]`` of those that each worker found in its share."""
    if workers.count == 1:
        return similarity, rows
    found = np.full([len(rows), k], np.iinfo(np.int64).min)
    found[:, : rows.shape[1]] = _packed(similarity, workers.index + workers.count * rows)
    of_each = workers.gather(found[None])
    best = np.sort(np.concatenate([*of_each], axis=1), axis=1)
    return _unpacked(best[:, : -k - 1 : -1])


def _nearest(
    bank: np.ndarray, lengths: Callable[[], np.ndarray], queries: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """`nearest` for as many queries as fit into memory; `lengths` gives the norms of the bank."""
    queries = unit(queries)
    if not Bfloat16Products.pay(bank, queries, k):
        return _largest(Products(), bank, queries, k)
    products = Bfloat16Products(bank[:_BLOCK])
    proposed, rows = _largest(products, bank, queries, products.proposals(k))
    exact = _packed(_similarities(bank, lengths(), queries, rows), rows)
    similarity, rows = _unpacked(np.sort(exact, axis=1)[:, : -k - 1 : -1])
    left = ~products.prove(queries, proposed[:, -1], similarity[:, -1])
    if left.any():
        similarity[left], rows[left] = _largest(Products(), bank, queries[left], k)
    return similarity, rows


def _largest(
    products: Products, bank: np.ndarray, queries: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k largest products of each query with rows of the bank, and these rows."""
    threads = cores()
    count = threads * math.ceil(len(queries) / _QUERIES / threads)
    chunks = np.array_split(queries, min(count, len(queries)))
    searches = [_Search(len(chunk), k, products.with_queries(chunk)) for chunk in chunks]
    # Each thread multiplies on one core, so that none waits for another, and picks neighbors
    # while others multiply.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        tiles = _tiles(products, bank[:_BLOCK])
        for start in range(0, len(bank), _BLOCK):
            added = [pool.submit(search.add, tiles, start) for search in searches]
            tiles = _tiles(products, bank[start + _BLOCK : start + 2 * _BLOCK])
            for future in added:
                future.result()
        found = list(pool.map(_Search.result, searches))
    similarity, rows = zip(*found, strict=True)
    return np.concatenate(similarity), np.concatenate(rows)


def _tiles(products: Products, rows: np.ndarray) -> list[Block]:
    """Rows of the bank, ready to be multiplied, in parts that fit into a cache."""
    block = products.block(rows)
    return [block[i : i + _TILE] for i in range(0, len(block), _TILE)]


def _similarities(
    bank: np.ndarray, lengths: np.ndarray, queries: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Cosine similarities of each query, of norm 1, to its rows ``[Q, n]`` of the bank."""

    def of_one(query: np.ndarray, positions: np.ndarray) -> np.ndarray:
        found = np.asarray(bank[positions], np.float32)
        # Unlike those of a matrix product, these sums are the same wherever a row stands.
        return np.einsum("nd,d->n", found, query) / lengths[positions]

    with ThreadPoolExecutor(cores()) as pool:
        return np.stack(list(pool.map(of_one, queries, rows)))


class _Search:
    """The search for the neighbors of some queries.

    A candidate is one number: its similarity in the upper and its position in the lower half, so
    that the largest numbers are the most similar candidates, and of these the first. Few rows
    become candidates: those that are more similar than the k candidates before them.

    Args:
        queries: Q, their number.
        k: Number of neighbors.
        product: Of all queries with some rows, float32 or bfloat16 ``[Q, n]``.
    """

    def __init__(self, queries: int, k: int, product: Callable[[Block], np.ndarray]):
        self._k, self._product = k, product
        self._candidates = np.empty([queries, 3 * k], np.int64)
        self._found = np.zeros(queries, np.int64)  # the first so many are set
        self._least = np.full(queries, -np.inf, np.float32)  # candidates are above it

    def add(self, tiles: Sequence[Block], start: int) -> None:
        """Compares the queries with rows of the bank, the first of which is at `start`."""
        for tile in tiles:
            similarity = self._product(tile)
            if start == 0:
                self._least = _below_the_largest(similarity.astype(np.float32), self._k)
            above = np.flatnonzero(_exceeds(similarity, self._least[:, None]))
            query = above // similarity.shape[1]
            row = above - query * similarity.shape[1]
            found = similarity.ravel()[above].astype(np.float32)
            self._append(query, _packed(found, start + row))
            start += len(tile)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Similarities and positions ``[Q, k]`` of the nearest neighbors so far."""
        self._keep_the_largest()
        found = np.sort(self._candidates[:, : self._k], axis=1)[:, ::-1]
        return _unpacked(found)

    def _append(self, query: np.ndarray, candidates: np.ndarray) -> None:
        """Adds candidates, in the order of their queries."""
        more = np.bincount(query, minlength=len(self._found))
        if (self._found + more).max() > self._candidates.shape[1]:
            if self._found.min() >= self._k:
                self._keep_the_largest()
            gap = (self._found + more).max() - self._candidates.shape[1]
            if gap > 0:
                self._candidates = np.pad(self._candidates, ((0, 0), (0, gap)))
        first = np.cumsum(more) - more
        place = np.arange(len(query)) + (self._found - first)[query]
        self._candidates[query, place] = candidates
        self._found += more

    def _keep_the_largest(self) -> None:
        """Keeps k candidates of each query, which must have as many."""
        unset = np.arange(self._candidates.shape[1]) >= self._found[:, None]
        self._candidates[unset] = np.iinfo(np.int64).min
        self._candidates.partition(-self._k, axis=1)
        self._candidates[:, : self._k] = self._candidates[:, -self._k :]
        self._found[:] = self._k
        self._least = _similarity(self._candidates[:, 0])


def _below_the_largest(similarity: np.ndarray, k: int) -> np.ndarray:
    """A number ``[Q]`` that at least the k largest of each row ``[Q, N]`` are above."""
    queries, count = similarity.shape
    if count < k:
        return np.full(queries, -np.inf, np.float32)
    # There are k rows above the k-th largest of the maxima of groups, which is found sooner.
    size = max(1, count // (4 * k))
    groups = count // size
    maxima = similarity[:, : size * groups].reshape(queries, size, groups).max(axis=1)
    return np.partition(maxima, groups - k, axis=1)[:, groups - k] - np.float32(1e-6)


def _exceeds(similarity: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Whether similarities, float32 or bfloat16 ``[Q, n]``, are above float32 ``[Q, 1]``."""
    if similarity.dtype == np.float32 or (least < 0).any():
        return similarity.astype(np.float32, copy=False) > least
    # The bits of numbers that are not negative have their order, and integers are compared sooner;
    # those of a bfloat16 are the upper half of a float32's.
    return similarity.view(np.int16) > (least.view(np.int32) >> 16).astype(np.int16)


def _packed(similarity: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Candidates as int64, in the order of their similarities, then from the last to the first."""
    bits = (similarity + np.float32(0)).view(np.int32).astype(np.int64)  # no negative zeros
    return (_ordered(bits) << 32) | (_LOWER - position)


def _unpacked(candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Similarities, float32, and positions, int64, of candidates."""
    return _similarity(candidates), _LOWER - (candidates & _LOWER)


def _similarity(candidates: np.ndarray) -> np.ndarray:
    """The similarities of candidates, float32."""
    return _ordered(candidates >> 32).astype(np.int32).view(np.float32)


def _ordered(bits: np.ndarray) -> np.ndarray:
    """The bits of a float32 as an integer of the same order, and back; int64."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)
