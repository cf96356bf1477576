"""The order of the examples, and which positions of the training a plan covers."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_simsiam import Augmentation
from keras_simsiam.data import Plan
from keras_simsiam.data.plan import shuffled

AUGMENTATIONS, SIZES = (Augmentation(),) * 2, (8, 8)


@pytest.mark.parametrize("count", [2, 3, 5, 64, 1000, 100_000])
def test_each_epoch_is_a_permutation_of_its_own(count):
    orders = []
    for epoch in range(2):
        positions = tf.range(count, dtype=tf.int64) + epoch * count
        epochs, examples = shuffled(positions, count, seed=3)
        assert (epochs.numpy() == epoch).all()
        np.testing.assert_array_equal(np.sort(examples), np.arange(count))
        orders.append(examples.numpy())
    if count > 5:
        assert (orders[0] != orders[1]).mean() > 0.9
        other_seed = shuffled(tf.range(count, dtype=tf.int64), count, seed=4)[1]
        assert (other_seed.numpy() != orders[0]).mean() > 0.9


@pytest.mark.parametrize(("count", "epochs"), [(64, 640), (100, 500)])
def test_the_shuffle_is_even(count, epochs):
    """Each example is as likely at each position: chi-squared over many epochs."""
    expected = epochs / count
    positions = tf.range(count, dtype=tf.int64)
    order = tf.function(lambda epoch: shuffled(positions + epoch * count, count, 0)[1])
    counts, orders = np.zeros((count, count)), set()
    for epoch in range(epochs):
        examples = order(tf.constant(epoch, tf.int64)).numpy()
        counts[np.arange(count), examples] += 1
        orders.add(examples.tobytes())
    # Rows and columns add up to `epochs` each, which leaves (count - 1)² degrees of freedom.
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, (count - 1) ** 2) > 1e-3
    assert len(orders) == epochs  # no short cycle


@pytest.mark.parametrize("together", [1, 3])
@pytest.mark.parametrize("parts", [1, 2])
def test_the_parts_of_a_plan_cover_each_position_once_from_its_first_step_on(parts, together):
    covered = []
    for part in range(parts):
        plan = Plan(
            (Augmentation(),) * 2,
            6,
            (8, 8),
            start_step=4,
            part=part,
            parts=parts,
            together=together,
        )
        steps = [int(step) for step in plan.steps().take(2)]
        assert steps == [4, 4 + together]
        positions = np.concatenate([plan.positions(tf.constant(s, tf.int64)) for s in steps])
        assert len(positions) == 2 * plan.made
        covered.extend(positions)
    assert sorted(covered) == list(range(24, 24 + 2 * together * 6))


def test_batches_made_together_are_split_in_order():
    plan = Plan(AUGMENTATIONS, 4, SIZES, parts=2, together=3)
    steps, (x1, x2) = plan.split(tf.constant(5, tf.int64), (tf.range(6), 10 + tf.range(6)))
    assert steps.numpy().tolist() == [5, 6, 7]
    assert x1.numpy().tolist() == [[0, 1], [2, 3], [4, 5]]
    assert x2.numpy().tolist() == [[10, 11], [12, 13], [14, 15]]
