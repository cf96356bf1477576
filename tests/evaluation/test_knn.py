"""The kNN vote against PyTorch's and scikit-learn's."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from keras_simsiam import InputError, knn_accuracy
from keras_simsiam.evaluation import knn_predict, nearest, products


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


def test_tiles_and_parts_change_nothing(arrays, monkeypatch):
    whole = knn_predict(*arguments(arrays))
    for name, size in {"_QUERIES": 7, "_TILE": 150, "_BLOCK": 300, "_CANDIDATES": 6000}.items():
        monkeypatch.setattr(nearest, name, size)
    found = knn_predict(*arguments(arrays))
    clear = clear_cut(arrays)  # products of other shapes are rounded otherwise
    np.testing.assert_array_equal(found[clear, 0], whole[clear, 0])


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize(
    ("rows", "k"), [(1000, 7), (997, 1), (4096, 200), (300, 200), (20_000, 300), (5000, 5000)]
)
def test_neighbors_are_the_most_similar_in_order_also_among_equals(rows, k, on_gpu, monkeypatch):
    random = np.random.RandomState(0)
    # Products with unit vectors are exact, and most rows are there many times.
    axis, sign = random.randint(0, 50, rows), random.choice([-1, 1], rows)
    bank = (sign[:, None] * np.eye(50)[axis]).astype(np.float32)
    queries = random.randint(-3, 4, (20, 50)).astype(np.float32)
    queries[0] = 0
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["GPU:0"] * on_gpu)
    similarity, found = nearest.nearest(bank, queries, k)
    expected = sign * products.unit(queries)[:, axis]
    order = np.argsort(-expected, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(found, order)
    np.testing.assert_array_equal(similarity, np.take_along_axis(expected, order, 1))


def test_neighbors_are_those_of_scikit_learn_where_banks_are_sorted_or_nearly_alike():
    random = np.random.RandomState(0)
    centers = random.randn(30, 16)
    for spread in (1.0, 1e-3):
        bank = (np.repeat(centers, 400, axis=0) + spread * random.randn(12_000, 16)) + 1
        queries = centers + 1
        similarity, found = nearest.nearest(bank.astype("f"), queries.astype("f"), 50)
        search = NearestNeighbors(n_neighbors=50, metric="cosine", algorithm="brute").fit(bank)
        distance, theirs = search.kneighbors(queries)
        np.testing.assert_allclose(1 - similarity, distance, atol=5e-7)
        if spread == 1:
            assert (found == theirs).mean() > 0.99


@pytest.mark.parametrize(("spread", "all_proven"), [(1.0, True), (1e-3, False)])
def test_neighbors_proposed_in_bfloat16_are_those_of_float32(spread, all_proven, monkeypatch):
    random = np.random.RandomState(0)
    bank = (2 + spread * random.randn(4000, 64)).astype(np.float32)
    bank[:, 0] += 5 * random.randn(4000)  # features that are alike in most of their dimensions
    bank[1000:1200] = bank[:200]  # and equal ones
    queries = bank[::40] + np.float32(0.1 * spread) * random.randn(100, 64).astype(np.float32)
    queries[0] = -queries[0]  # no neighbor is much nearer than the others
    expected = nearest.nearest(bank, queries, 20)
    proven = []
    prove = products.Bfloat16Products.prove
    monkeypatch.setattr(products.Bfloat16Products, "pay", lambda *_: True)
    monkeypatch.setattr(
        products.Bfloat16Products, "prove", lambda *a: proven.append(prove(*a)) or proven[-1]
    )
    similarity, rows = nearest.nearest(bank, queries, 20)
    np.testing.assert_allclose(similarity, expected[0], atol=1e-6)
    exact = products.unit(queries).astype(float) @ products.unit(bank).astype(float).T
    theirs = np.take_along_axis(exact, expected[1], 1)
    np.testing.assert_allclose(np.take_along_axis(exact, rows, 1), theirs, atol=1e-6)
    np.testing.assert_array_equal(rows[1:5, :2], [[n, n + 1000] for n in (40, 80, 120, 160)])
    assert proven[0].mean() > 0.9 if all_proven else proven[0].mean() < 0.5


def test_the_bank_is_not_copied():
    bank = np.zeros((120_000, 256), np.float32)
    bank[:, 0] = 1
    tracemalloc.start()
    nearest.nearest(bank, bank[:64], 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < bank.nbytes / 2


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


@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_bfloat16_is_left_alone_where_onednn_is_limited(variable, monkeypatch):
    """TensorFlow's products in it end with a segmentation fault then."""
    monkeypatch.setattr(products, "multiplies_bfloat16", lambda: True)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    bank, queries = np.zeros([10_000, 512], np.float32), np.zeros([300, 512], np.float32)
    assert products.Bfloat16Products.pay(bank, queries, 20)
    monkeypatch.setenv(variable, "AVX2")
    assert not products.Bfloat16Products.pay(bank, queries, 20)


@pytest.mark.parametrize("lowest", [0.0, -0.5])
def test_bfloat16_is_compared_as_its_values_are(lowest):
    random = np.random.default_rng(0)
    values = random.uniform(-1, 1, [50, 400]).astype(np.float32)
    values[:, :3] = 0.0, -0.0, 0.25
    similarity = tf.cast(values, tf.bfloat16).numpy()
    least = random.uniform(lowest, 1, [50, 1]).astype(np.float32)
    least[:2] = [[0.25], [similarity[1, 9]]]  # equal ones are not above
    np.testing.assert_array_equal(
        nearest._exceeds(similarity, least), similarity.astype(np.float32) > least
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from Linux's /proc")
def test_memory_stays_under_2_gb_for_100_000_times_10_000_times_512():
    # ru_maxrss would be at least what this process, which starts the other, has taken.
    script = """
import pathlib
import re
import numpy as np
from keras_simsiam import knn_accuracy
random = np.random.default_rng(0)
bank, queries = (random.standard_normal((n, 512), np.float32) for n in (100_000, 10_000))
knn_accuracy(bank, np.arange(100_000) % 200, queries, np.arange(10_000) % 200)
status = pathlib.Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024 / 1e9)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 2.0
