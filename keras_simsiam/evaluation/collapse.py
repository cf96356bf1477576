"""How many dimensions features occupy; `models.objectives.z_std` measures how far they spread."""

from __future__ import annotations

import numpy as np

from keras_simsiam.arrays import as_features


def singular_values(features: np.ndarray) -> np.ndarray:
    """Singular values of a feature matrix, largest first.

    Args:
        features: float ``[N, D]``.

    Returns:
        float64 ``[min(N, D)]``.

    Raises:
        InputError: If the features have another shape or type, or are not finite.
    """
    as_features(features)
    return np.linalg.svd(np.asarray(features, np.float64), compute_uv=False)


def effective_rank(singular_values: np.ndarray) -> float:
    """RankMe, the effective number of dimensions (Garrido et al. 2023, equation 1).

    Args:
        singular_values: float ``[K]``, those of the feature matrix; see `singular_values`.

    Returns:
        The exponential of the entropy of the normalized singular values: 1 if all features lie on
        one line through the origin, min(N, D) if all singular values are equal.
    """
    total = singular_values.sum()
    if not total > 0:
        return 1.0
    share = singular_values / total + 1e-7
    return float(np.exp(-(share * np.log(share)).sum()))
