"""The linear classifier against scikit-learn's."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from keras_simsiam import InputError, linear_accuracy


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


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda b, bl, q, ql: (b, bl[1:], q, ql), "1199 labels"),
        (lambda b, bl, q, ql: (b, bl, q[:, 1:], ql), r"queries of shape \(597, 31\)"),
        (lambda b, bl, q, ql: (b, 0 * bl, q, ql), "two classes"),
    ],
)
def test_what_does_not_fit_is_named(change, named, digits):
    with pytest.raises(InputError, match=named):
        linear_accuracy(*change(*digits))
