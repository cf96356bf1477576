"""Over how many dimensions representations spread; `models.simsiam.z_std` says how far."""

from __future__ import annotations

import numpy as np


def singular_values(features: np.ndarray) -> np.ndarray:
    """Singular values of a matrix of features, largest first.

    Args:
        features: float ``[N, d]``.

    Returns:
        float64 ``[min(N, d)]``.
    """
    return np.linalg.svd(np.asarray(features, np.float64), compute_uv=False)


def effective_rank(singular_values: np.ndarray) -> float:
    """RankMe: over how many dimensions features spread (Garrido et al. 2023, equation 1).

    Args:
        singular_values: Of the matrix of features, as `singular_values` gives them.

    Returns:
        The exponential of the entropy of the normalised singular values: 1 where all features lie
        on one line, min(N, d) where all directions are alike.
    """
    total = singular_values.sum()
    if not total > 0:
        return 1.0
    share = singular_values / total + 1e-7
    return float(np.exp(-(share * np.log(share)).sum()))
