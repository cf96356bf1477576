"""The table of metrics: what each reader of it gets."""

import ast
import pathlib
import sys

import pytest

from keras_simsiam import metrics
from keras_simsiam.metrics import METRICS

HISTORY = [
    *("epoch", "loss", "z_std", "learning_rate", "knn_top1"),
    *("backbone_std", "projector_std", "backbone_rank", "projector_rank"),
]


def test_the_table_imports_the_standard_library_only():
    tree = ast.parse(pathlib.Path(metrics.__file__).read_text())
    imported = {
        a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names
    }
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names


def test_history_columns_are_the_same_for_every_ordinary_run():
    assert metrics.history_columns([]) == HISTORY
    assert metrics.history_columns([{"epoch": 0, "knn_top1": 0.3}]) == HISTORY


def test_history_keeps_unknown_metrics_after_the_known_ones():
    rows = [{"epoch": 1, "queue_age": 3.0, "loss": -0.5}, {"epoch": 2, "knn_top5": 0.9, "acc": 1.0}]
    assert metrics.history_columns(rows) == [*HISTORY, "knn_top5", "queue_age", "acc"]
    assert metrics.in_history("queue_age")


@pytest.mark.parametrize("key", ["images_per_second", "minutes_left", "seconds"])
def test_history_leaves_out_what_differs_between_equal_runs(key):
    assert not metrics.in_history(key)
    assert metrics.history_columns([{"epoch": 1, key: 3.0}]) == HISTORY


def test_every_key_has_a_heading_and_a_format():
    assert metrics.describe("knn_top1") is METRICS["knn_top1"]
    assert metrics.describe("knn_top1_raw_pixels").heading == "kNN top-1, raw pixels"
    assert metrics.describe("queue_age").heading == "queue age"
    assert metrics.cell("knn_top1", 0.5126) == "51.3%"
    assert metrics.cell("knn_top1_raw_pixels", 0.2796) == "28.0%"
    assert metrics.cell("loss", -0.7046) == "-0.705"
    assert metrics.cell("queue_age", 3.14159) == "3.142"
    assert metrics.cell("knn_top1", None) == "-"
    for key, metric in METRICS.items():
        assert key == metric.key
        assert metrics.cell(key, 0.5) not in ("", metric.format)


def test_baselines_are_found_by_metric_and_labeled():
    summary = {
        "knn_top1": 0.5,
        "knn_top1_random_weights": 0.3,
        "knn_top1_raw_pixels": None,
        "linear_top1_raw_pixels": 0.4,
    }
    assert metrics.baselines(summary, "knn_top1") == {"random weights": 0.3}
    assert metrics.baselines(summary, "linear_top1") == {"raw pixels": 0.4}
    assert metrics.baselines(summary, "loss") == {}
    assert metrics.with_baselines(["knn_top1", "loss"]) == [
        *("knn_top1", "knn_top1_random_weights", "knn_top1_raw_pixels"),
        *("loss", "loss_random_weights", "loss_raw_pixels"),
    ]


def test_a_summary_is_formatted_in_the_order_of_the_table():
    summary = {
        "status": "finished",
        "knn_top1_raw_pixels": 0.28,
        "knn_top1": 0.556,
        "knn_top1_random_weights": None,
        "loss": -0.7046,
        "images_per_second": 1234.5,
    }
    assert list(metrics.formatted(summary).items()) == [
        ("loss", "-0.705"),
        ("kNN top-1", "55.6%"),
        ("kNN top-1, random weights", "-"),
        ("kNN top-1, raw pixels", "28.0%"),
        ("images/s", "1,234"),
    ]


def test_tables_show_what_some_row_has():
    rows = [{"loss": -0.7, "learning_rate": 0.1, "seconds": 3.0}, {"knn_top1": 0.5, "other": 1}]
    assert metrics.table_columns(rows) == ["loss", "knn_top1", "seconds"]
    assert "knn_top5" in metrics.SUMMARY
    assert "learning_rate" not in metrics.SUMMARY
