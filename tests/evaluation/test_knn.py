"""The kNN vote against PyTorch's and scikit-learn's."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from sklearn.neighbors import KNeighborsClassifier

from keras_simsiam import InputError, knn_accuracy
from keras_simsiam.evaluation import knn, knn_predict


@pytest.fixture(scope="module")
def arrays(reference):
    return reference("knn")


def clear_cut(arrays, k=200, temperature=0.1):
    """Queries whose best two votes differ by more than float error, worked out in float64."""
    bank, queries = (
        v / np.linalg.norm(v, axis=1, keepdims=True)
        for v in (arrays[n].astype(np.float64) for n in ("bank_features", "query_features"))
    )
    similarity = queries @ bank.T
    best = np.argsort(-similarity, axis=1)[:, :k]
    votes = np.zeros((len(queries), arrays["bank_labels"].max() + 1))
    weights = np.exp(np.take_along_axis(similarity, best, 1) / temperature)
    for i in range(k):
        votes[np.arange(len(queries)), arrays["bank_labels"][best[:, i]]] += weights[:, i]
    first, second = np.sort(votes, axis=1)[:, [-1, -2]].T
    return first - second > 1e-5 * first


def arguments(arrays):
    return arrays["bank_features"], arrays["bank_labels"], arrays["query_features"]


def test_predictions_and_accuracies_are_those_of_the_reference(arrays):
    found = knn_predict(*arguments(arrays))
    clear = clear_cut(arrays)
    assert clear.mean() > 0.9
    expected = arrays["predictions"].reshape(len(found), -1)
    np.testing.assert_array_equal(found[clear, 0], expected[clear, 0])
    accuracy = knn_accuracy(*arguments(arrays), arrays["query_labels"])
    doubt = (~clear).mean() + 1e-6
    assert accuracy.top1 == pytest.approx(float(arrays["top1"]), abs=doubt)
    assert accuracy.top5 == pytest.approx(float(arrays["top5"]), abs=doubt)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (7, 0.07), (50, 1.0)])
def test_vote_is_scikit_learns_with_the_same_weights(k, temperature, arrays):
    bank, labels, queries = arguments(arrays)
    theirs = KNeighborsClassifier(
        k,
        metric="cosine",
        algorithm="brute",
        weights=lambda distance: np.exp((1 - distance) / temperature),
    ).fit(bank, labels)
    found = knn_predict(bank, labels, queries, k, temperature)[:, 0]
    assert (found == theirs.predict(queries)).mean() > 0.995


def test_chunks_change_nothing(arrays, monkeypatch):
    whole = knn_predict(*arguments(arrays))
    monkeypatch.setattr(knn, "_SIMILARITIES", 7 * len(arrays["bank_labels"]))
    np.testing.assert_array_equal(knn_predict(*arguments(arrays)), whole)


@pytest.mark.parametrize(("columns", "k"), [(1000, 7), (997, 1), (4096, 200), (300, 200)])
def test_neighbors_are_the_largest_in_order_also_among_equals(columns, k):
    values = np.random.RandomState(0).randint(0, 300, (20, columns)).astype(np.float32)
    expected = np.argsort(-values, axis=1, kind="stable")[:, :k]
    found, where = knn._top_k(tf.constant(values), k)
    np.testing.assert_array_equal(where, expected)
    np.testing.assert_array_equal(found, np.take_along_axis(values, expected, 1))


def test_small_temperatures_do_not_overflow(arrays):
    bank, labels, queries = arguments(arrays)
    nearest = knn_predict(bank, labels, queries, k=1)[:, 0]
    found = knn_predict(bank, labels, queries, k=200, temperature=1e-4)[:, 0]
    assert (found == nearest).mean() > 0.99


def test_k_larger_than_the_bank_is_capped_with_a_warning(arrays):
    bank, labels, queries = arguments(arrays)
    with pytest.warns(UserWarning, match="k=200 exceeds the size of the kNN bank; using 30"):
        found = knn_predict(bank[:30], labels[:30], queries)
    np.testing.assert_array_equal(found, knn_predict(bank[:30], labels[:30], queries, k=30))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"k": 0}, "k must be at least 1; got 0"),
        ({"temperature": 0.0}, "temperature must be above 0; got 0$"),
        ({"bank_labels": np.zeros(3, int)}, r"bank_labels must be .*; got int64 \[3\]"),
        ({"queries": np.zeros((2, 5), "f")}, r"queries must have the bank's .*; got 5"),
    ],
)
def test_what_does_not_fit_is_named(change, named, arrays):
    values = dict(zip(("bank", "bank_labels", "queries"), arguments(arrays), strict=True))
    with pytest.raises(InputError, match=named):
        knn_predict(**{**values, **change})


@pytest.mark.slow
def test_memory_stays_under_2_gb_for_100_000_times_10_000_times_512():
    script = """
import resource
import numpy as np
from keras_simsiam import knn_accuracy
random = np.random.default_rng(0)
bank, queries = (random.standard_normal((n, 512), np.float32) for n in (100_000, 10_000))
knn_accuracy(bank, np.arange(100_000) % 200, queries, np.arange(10_000) % 200)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 2.0
