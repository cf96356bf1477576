"""Spread and effective rank of features whose spread and rank are known."""

import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam.evaluation.collapse import effective_rank, singular_values
from keras_simsiam.models.objectives import z_std

RANDOM = np.random.RandomState(0)


def spread(features):
    return float(z_std(tf.constant(features)))


def test_spread_is_the_papers_standard_deviation():
    z = RANDOM.randn(256, 32).astype(np.float32) * np.linspace(0.1, 3, 32, dtype=np.float32)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    assert spread(z) == pytest.approx(float(unit.std(axis=0).mean() * np.sqrt(32)), rel=1e-5)
    assert spread(np.ones((64, 8))) == pytest.approx(0, abs=1e-6)
    assert spread(np.zeros((64, 8))) == 0


@pytest.mark.parametrize("rank", [1, 3, 16])
def test_rank_of_evenly_filled_dimensions_is_their_number(rank):
    basis, _ = np.linalg.qr(RANDOM.randn(64, rank))
    other, _ = np.linalg.qr(RANDOM.randn(32, rank))
    assert effective_rank(singular_values(basis @ other.T)) == pytest.approx(rank, rel=1e-3)


def test_rank_is_the_entropy_of_the_singular_values():
    values = np.array([4.0, 2.0, 1.0, 1.0])
    expected = 2 ** (0.5 * 1 + 0.25 * 2 + 2 * 0.125 * 3)  # of shares 1/2, 1/4, 1/8, 1/8
    assert effective_rank(values) == pytest.approx(expected, rel=1e-4)


def test_no_features_at_all_have_rank_one():
    assert effective_rank(singular_values(np.zeros((8, 4)))) == 1
