"""The linear classifier against scikit-learn's."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from keras_simsiam import InputError, linear_accuracy
from keras_simsiam.evaluation import linear
from keras_simsiam.evaluation.linear import linear_predict, part_of_each_class


@pytest.fixture(scope="module")
def digits():
    """Half of the pixels of hand-written digits, which are not easy to tell apart by that."""
    features, labels = load_digits(return_X_y=True)
    features = features[:, ::2] / 16
    return features[:1200], labels[:1200], features[1200:], labels[1200:]


def test_accuracy_is_that_of_logistic_regression(digits):
    bank, bank_labels, queries, query_labels = digits
    fitted = LogisticRegression(C=100, max_iter=5000).fit(bank, bank_labels)
    expected = fitted.score(queries, query_labels)
    found = linear_accuracy(*digits)
    assert 0.5 < expected < 0.95
    assert found.top1 == pytest.approx(expected, abs=0.02)
    top5 = np.argsort(-fitted.predict_proba(queries), axis=1)[:, :5]
    assert found.top5 == pytest.approx((top5 == query_labels[:, None]).any(axis=1).mean(), abs=0.02)


def test_it_is_repeated_by_its_seed(digits):
    assert linear_accuracy(*digits, epochs=2, seed=3) == linear_accuracy(*digits, epochs=2, seed=3)


def test_the_rate_that_does_best_on_held_out_features_is_chosen(digits):
    found = linear_accuracy(*digits, learning_rates=(1e-6, 1.0, 1e30))
    assert found.learning_rate == 1.0


def test_labels_of_the_queries_choose_nothing(digits):
    bank, bank_labels, queries, query_labels = digits
    shuffled = np.random.RandomState(0).permutation(query_labels)
    found = linear_accuracy(bank, bank_labels, queries, shuffled, epochs=5)
    assert found.learning_rate == linear_accuracy(*digits, epochs=5).learning_rate
    assert found.top1 < 0.2


def test_lars_with_a_large_batch_does_as_well(digits):
    bank, bank_labels, queries, query_labels = digits
    expected = LogisticRegression(C=100, max_iter=5000).fit(bank, bank_labels)
    found = linear_accuracy(*digits, optimizer="lars", batch_size=1200, epochs=300)
    assert found.top1 == pytest.approx(expected.score(queries, query_labels), abs=0.03)


def test_a_step_of_lars_is_that_of_its_paper(digits):
    """You et al. 2017: the gradient is scaled to the weights' norm, by LARC's coefficient 0.001."""
    bank, labels, _, _ = digits
    training = linear._Training(lambda epoch: bank, labels, 32, 10, 1, 1200, 0, True)
    weights, biases = training.run(np.arange(1200), np.array([1.0], np.float32))
    start = np.random.default_rng([0, 1]).normal(0, 0.01, (32, 10)).astype(np.float32)
    logits = bank @ start
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - np.eye(10)[labels]
    gradient, rate = bank.T @ share / 1200, 1200 / 256
    ratio = 0.001 * np.linalg.norm(start) / np.linalg.norm(gradient)
    np.testing.assert_allclose(weights[0], start - rate * ratio * gradient, atol=1e-6)
    # A bias of zeros has no norm to scale to.
    np.testing.assert_allclose(biases[0], -rate * share.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("lars", [False, True])
def test_classifiers_trained_together_are_those_trained_alone(lars, digits):
    bank, labels, _, _ = digits
    training = linear._Training(lambda epoch: bank, labels, 32, 10, 3, 100, 0, lars)
    rates = np.array([0.1, 3.0, 30.0], np.float32)
    together = training.run(np.arange(1200), rates)
    for i in range(3):
        alone = training.run(np.arange(1200), rates[i : i + 1])
        for of_all, own in zip(together, alone, strict=True):
            np.testing.assert_allclose(of_all[i], own[0], rtol=1e-4, atol=1e-4)


def test_steps_are_those_of_sgd_with_momentum(digits):
    """Worked out in float64: v = 0.9 v + g, w -= rate v."""
    bank, labels, _, _ = digits
    training = linear._Training(lambda epoch: bank, labels, 32, 10, 2, 600, 0, False)
    weights, biases = training.run(np.arange(1200), np.array([2.0], np.float32))
    generator = np.random.default_rng([0, 1])
    w, b = generator.normal(0, 0.01, (32, 10)).astype("f").astype(float), np.zeros(10)
    moved, total = [0, 0], 4
    for i in range(total):
        if i % 2 == 0:
            order = generator.permutation(1200)
        rows = order[i % 2 * 600 :][:600]
        logits = bank[rows] @ w + b
        share = (
            np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - np.eye(10)[labels[rows]]
        )
        gradients = bank[rows].T @ share / 600, share.mean(axis=0)
        moved = [0.9 * m + g for m, g in zip(moved, gradients, strict=True)]
        rate = 2.0 * 600 / 256 * 0.5 * (1 + np.cos(np.pi * i / total))
        w, b = w - rate * moved[0], b - rate * moved[1]
    np.testing.assert_allclose(weights[0], w, atol=1e-5)
    np.testing.assert_allclose(biases[0], b, atol=1e-5)


def test_ranking_in_blocks_changes_nothing(digits, monkeypatch):
    whole = linear_accuracy(*digits, epochs=3)
    monkeypatch.setattr(linear, "_LOGITS", 1000)
    assert linear_accuracy(*digits, epochs=3) == whole


def test_features_of_each_epoch_are_trained_on(digits):
    bank, labels, queries, _ = digits
    asked = []

    def augmented(epoch):
        asked.append(epoch)
        return bank if epoch < 2 else np.zeros_like(bank)

    arguments = {"learning_rates": (1.0,), "epochs": 4}
    found, _ = linear_predict(bank, labels, queries, augmented=augmented, **arguments)
    assert set(asked) == {0, 1, 2, 3}
    assert (found != linear_predict(bank, labels, queries, **arguments)[0]).any()


@pytest.mark.parametrize(("part", "spared", "expected"), [(0.1, 0, 4), (0.001, 0, 1), (1, 1, 39)])
def test_a_part_has_as_many_of_each_class(part, spared, expected):
    labels = np.arange(120) % 3
    rows = part_of_each_class(labels, part, seed=1, spared=spared)
    assert np.bincount(labels[rows]).tolist() == [expected] * 3
    assert len(set(rows)) == len(rows)
    other = part_of_each_class(labels, part, seed=2, spared=spared)
    assert rows.tolist() != other.tolist()


def test_a_part_is_a_random_one_of_each_class_in_the_order_of_one_permutation():
    labels = np.random.RandomState(0).randint(0, 40, 3000) * 3
    order = np.random.default_rng(5).permutation(3000)
    expected = []
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        expected.extend(of_class[: max(1, round(0.07 * len(of_class)))])
    np.testing.assert_array_equal(part_of_each_class(labels, 0.07, seed=5), sorted(expected))


def test_one_image_of_each_class_is_enough_for_the_linear_probe(digits):
    bank, labels, queries, query_labels = digits
    rows = part_of_each_class(labels, 1e-6, seed=0)
    found = linear_accuracy(bank[rows], labels[rows], queries, query_labels)
    assert found.top1 > 0.3
    assert found.learning_rate == 3.0  # the middle one: nothing could be held out


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda b, bl, q, ql: (b, bl[1:], q, ql), r"integers \[1200\], .* got int64 \[1199\]"),
        (lambda b, bl, q, ql: (b, bl, q[:, 1:], ql), "queries must have .* 32; got 31"),
        (lambda b, bl, q, ql: (b, 0 * bl, q, ql), "at least two classes; got 1"),
    ],
)
def test_what_does_not_fit_is_named(change, named, digits):
    with pytest.raises(InputError, match=named):
        linear_accuracy(*change(*digits))
