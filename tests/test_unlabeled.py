"""The experiment on choosing settings without labels."""

from experiments import unlabeled
from keras_simsiam.tuning.ledger import Entry
from keras_simsiam.tuning.results import Line


def test_criteria_are_judged_by_how_they_order_runs():
    accuracies = [0.3, 0.5, 0.4, 0.6]
    runs = [
        {
            **{"knn_top1": a, "loss": -a, "z_std": 1 - a, "backbone_rank": 10 * a},
            **{"projector_rank": [4, 3, 1, 2][i], "view_retrieval": a**2},
        }
        for i, a in enumerate(accuracies)
    ]
    lines = [Line(f"{i}", {}, [Entry(i, {}, "finished", metrics=m)]) for i, m in enumerate(runs)]
    failed = Line("failed", {}, [Entry(4, {}, "failed", "out of memory")])
    heading, *rows = unlabeled.table([*lines, failed])
    assert heading[1:] == ["Spearman with kNN top-1", "kNN top-1 of its choice", "best run"]
    assert {row[0]: row[1:] for row in rows} == {
        "lowest loss": ["+1.00", "60.0%", "60.0%"],
        "highest z_std": ["-1.00", "30.0%", "60.0%"],
        "highest rank of features": ["+1.00", "60.0%", "60.0%"],
        "highest rank of z": ["-0.40", "30.0%", "60.0%"],
        "highest view retrieval": ["+1.00", "60.0%", "60.0%"],
    }
