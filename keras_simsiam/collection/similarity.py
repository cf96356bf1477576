"""How alike two images are: whitened features with local scaling, and a perceptual hash.

Cosine similarity of an encoder's features finds few duplicates, because a few dimensions dominate
it and because images lie much denser in some places than in others. Whitening ends the first, local
scaling the second (Zelnik-Manor and Perona 2004), and a hash of the coarse pixels adds what an
encoder was trained to ignore, such as the place of a crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from sklearn.covariance import ledoit_wolf_shrinkage

from keras_simsiam.collection.search import others
from keras_simsiam.evaluation.nearest import nearest
from keras_simsiam.evaluation.products import unit

HASHED_SIDE = 32
"""Side in pixels of the images that are hashed."""

_BITS = 64
_SAMPLED = 10_000
"""The most features from which variances are computed."""

_SCALE_NEIGHBOR = 7
"""An image's scale is its distance to this neighbor, as in the paper."""

_CANDIDATES = 32
"""How many neighbors of each image are compared with it."""


def perceptual_hash(images: np.ndarray) -> np.ndarray:
    """The pHash: which of the 64 lowest frequencies are above their median.

    Args:
        images: uint8 ``[N, 32, 32, 3]``.

    Returns:
        float32 ``[N, 64]``, 1 or -1 for each bit.
    """
    gray = np.asarray(images, np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    low = scipy.fft.dctn(gray, axes=(1, 2))[:, :8, :8].reshape(-1, _BITS)
    median = np.median(low[:, 1:], axis=1, keepdims=True)  # the first is the brightness
    return np.where(low > median, np.float32(1), np.float32(-1))


@dataclass(frozen=True, eq=False)
class Whitening:
    """Makes the features of a collection uncorrelated and of equal variance.

    The variances are shrunk towards their mean (Ledoit and Wolf 2004), the more the fewer images.

    Attributes:
        mean: float ``[D]``.
        matrix: float ``[D, min(N, D)]``.
    """

    mean: np.ndarray
    matrix: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Whitening:
        """The whitening of features ``[N, D]``."""
        rows = features[:: -(-len(features) // _SAMPLED)].astype(np.float64)
        mean = rows.mean(axis=0)
        _, deviations, directions = np.linalg.svd(rows - mean, full_matrices=False)
        variances = deviations**2 / len(rows)
        # Without it, few images of many dimensions would all be equally far from each other.
        shrinkage = ledoit_wolf_shrinkage(rows)
        variances = (1 - shrinkage) * variances + shrinkage * variances.sum() / rows.shape[1]
        scales = np.sqrt(np.maximum(variances, 1e-24))
        return cls(mean, directions.T / scales)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Whitened features of length 1, float32 ``[N, min(N, D)]``."""
        return unit((features - self.mean) @ self.matrix)


class Likeness:
    """Compares images of a collection with each other, and others with them.

    Args:
        features: float32 ``[N, D]``, N at least 2.
        hashes: float32 ``[N, 64]``, see `perceptual_hash`.
    """

    def __init__(self, features: np.ndarray, hashes: np.ndarray):
        self._whitening = Whitening.of(features)
        self._white, self._hashes = self._whitening(features), hashes
        # The cosine of joined vectors is (cosine - distance / 64 + 1/2) / 1.5.
        self._joined = _joined(self._white, hashes)
        _, self._rows = others(self._joined, _CANDIDATES)
        self._scales = self._scale(self._white, self._rows)

    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pairs worth looking at, most alike first.

        Returns:
            Scores float ``[P]``, in [-1, 1], and the rows of both images int ``[P]``, the smaller
            first.
        """
        count = len(self._white)
        a, b = np.repeat(np.arange(count), self._rows.shape[1]), self._rows.ravel()
        codes = np.unique(np.minimum(a, b) * count + np.maximum(a, b))
        a, b = codes // count, codes % count
        scores = self._score(self._white[a], self._hashes[a], self._scales[a], b)
        order = np.argsort(-scores, kind="stable")
        return scores[order], a[order], b[order]

    def with_row(self, features: np.ndarray, hashes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Scores of other images, each with one of the collection.

        Args:
            features: float32 ``[Q, D]``.
            hashes: float32 ``[Q, 64]``.
            rows: int ``[Q]``.
        """
        white = self._whitening(features)
        _, near = nearest(self._joined, _joined(white, hashes), self._rows.shape[1])
        return self._score(white, hashes, self._scale(white, near), rows)

    def _scale(self, white: np.ndarray, rows: np.ndarray) -> np.ndarray:
        cosines = np.stack([_rowwise(white, self._white[column]) for column in rows.T], axis=1)
        squares = np.sort(2 - 2 * cosines, axis=1)
        return np.sqrt(np.maximum(squares[:, min(_SCALE_NEIGHBOR, rows.shape[1]) - 1], 1e-6))

    def _score(
        self, white: np.ndarray, hashes: np.ndarray, scales: np.ndarray, rows: np.ndarray
    ) -> np.ndarray:
        squares = np.maximum(2 - 2 * _rowwise(white, self._white[rows]), 0)
        near = np.exp(-squares / (scales * self._scales[rows]))
        distance = (_BITS - _rowwise(hashes, self._hashes[rows])) / 2
        return near - distance / _BITS


def _joined(white: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    return np.concatenate([white, hashes / np.sqrt(np.float32(2 * _BITS))], axis=1)


def _rowwise(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", a, b)
