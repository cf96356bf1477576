"""Aggregation over seeds: lines, their means and ranges, their status, the table."""

import pytest

from keras_simsiam.presets import preset
from keras_simsiam.tuning import results
from keras_simsiam.tuning.ledger import Entry
from keras_simsiam.tuning.results import Found, aggregate, ranked, table
from keras_simsiam.tuning.space import Space

SPACE = Space({"model.predictor": ["mlp", "fixed", "none"]}, preset("photo_patches"), [0, 1])


def entry(number, predictor, seed, accuracy=None, status="finished", cause="", **metrics):
    values = {"model.predictor": predictor, "training.seed": seed}
    if accuracy is not None:
        metrics |= {"knn_top1": accuracy, "knn_top1_random_weights": 0.3 + seed / 10}
    return Entry(number, values, status, cause, metrics=metrics)


def test_trials_that_differ_only_in_their_seed_are_one_line():
    # Out of order, as several workers leave them.
    entries = [entry(0, "mlp", 0, 0.5), entry(1, "none", 1, 0.1), entry(2, "mlp", 1, 0.7)]
    mlp, none = aggregate(SPACE, entries)
    assert (mlp.label, mlp.values) == ("mlp", {"model.predictor": "mlp"})
    assert [e.number for e in mlp.entries] == [0, 2]
    assert mlp.measured("knn_top1") == [0.5, 0.7]
    assert mlp.mean("knn_top1") == pytest.approx(0.6)
    assert [e.number for e in none.entries] == [1]


def test_lines_are_ranked_by_their_mean_and_those_without_accuracy_are_last():
    entries = [
        *[entry(0, "none", 0, status="failed"), entry(1, "mlp", 0, 0.0)],
        *[entry(2, "fixed", 0, 0.9), entry(3, "fixed", 1)],
    ]
    lines = ranked(aggregate(SPACE, entries))
    assert [line.label for line in lines] == ["fixed", "mlp", "none"]


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ([("finished", "")], "finished"),
        ([("finished", "")] * 3, "finished"),
        ([("collapsed", "z is collapsing")], "collapsed"),
        ([("collapsed", "z is collapsing")] * 3, "3 of 3 collapsed"),
        ([("finished", "z was collapsing"), ("finished", "")], "1 of 2 warned of collapse"),
        ([("diverged", "the loss became nan")], "diverged: the loss became nan"),
        ([("failed", "no memory"), ("diverged", "nan")], "1 of 2 failed, 1 of 2 diverged"),
    ],
)
def test_a_line_says_how_its_trials_ended(ends, said):
    entries = [entry(i, "mlp", i, 0.5, *end) for i, end in enumerate(ends)]
    (line,) = aggregate(SPACE, entries)
    assert line.status == said


def test_the_table_shows_means_ranges_baselines_and_cited_numbers():
    entries = [
        *[entry(0, "mlp", 0, 0.5, loss=-0.8), entry(1, "mlp", 1, 0.6, loss=-0.8)],
        *[entry(2, "none", 0, status="diverged", cause="nan"), entry(3, "none", 1, 0.2, loss=-1.0)],
    ]
    lines = aggregate(SPACE, entries)
    cited = [{"variant": "the paper", "loss": "-1", "paper": "0.1"}]
    assert table(lines, [{"variant": line.label} for line in lines], cited) == [
        ["variant", "loss", "kNN top-1", "status", "paper, ImageNet"],
        ["mlp", "-0.800", "55.0% (50.0% to 60.0%)", "finished", "-"],
        ["none", "-1.000", "20.0%", "1 of 2 diverged", "-"],
        ["*random weights*", "", "36.7% (30.0% to 40.0%)", "", ""],
        ["*the paper*", "-1", "", "", "0.1"],
    ]


def test_a_new_metric_needs_one_line_in_the_table_of_metrics(monkeypatch):
    from keras_simsiam import metrics

    monkeypatch.setitem(metrics.METRICS, "margin", metrics.Metric("margin", "margin", "{:.1f}"))
    lines = aggregate(SPACE, [entry(0, "mlp", 0, 0.5, margin=2.0), entry(1, "mlp", 1, margin=3.0)])
    rows = table(lines, [{"variant": line.label} for line in lines])
    assert rows[0][:3] == ["variant", "kNN top-1", "margin"]
    assert rows[1][:3] == ["mlp", "50.0%", "2.5 (2.0 to 3.0)"]


def drawn(monkeypatch, spec, entries, seeds=(0, 1)):
    """Which figure is drawn, and its arguments."""
    calls = []
    for name in ("metric_over", "compared_bars", "parallel_coordinates"):
        monkeypatch.setattr(
            results.plots, name, lambda *args, name=name: calls.append((name, *args))
        )
    space = Space(spec, preset("photo_patches"), seeds)
    found = Found(space, None, None, aggregate(space, entries))
    results.draw(found, "path", "title")
    (call,) = calls
    return call


def numbered(values, accuracy=0.5):
    return [Entry(i, v, "finished", metrics={"knn_top1": accuracy}) for i, v in enumerate(values)]


def test_one_number_is_drawn_as_a_line_over_all_its_seeds(monkeypatch):
    values = [{"training.batch_size": b, "training.seed": s} for b in (64, 32) for s in (0, 1)]
    spec = {
        "training.batch_size": [64, 32],
        "training.warmup_epochs": {"choices": [1], "when": {"training.batch_size": [64]}},
    }
    for v in values[:2]:
        v["training.warmup_epochs"] = 1
    kind, label, series, *_ = drawn(monkeypatch, spec, numbered(values))
    assert (kind, label) == ("metric_over", "batch size")
    assert series == {"knn_top1": {32: [0.5, 0.5], 64: [0.5, 0.5]}}


@pytest.mark.parametrize("first", ["model.predictor", "model.stop_gradient"])
def test_a_few_combinations_are_drawn_as_bars_of_their_seeds(monkeypatch, first):
    choices = {"model.predictor": ["mlp", "none"], "model.stop_gradient": [True, False]}[first]
    values = [{first: c, "training.seed": s} for c in choices for s in (0, 1)]
    kind, bars, *_ = drawn(monkeypatch, {first: choices}, numbered(values))
    assert kind == "compared_bars"
    assert list(bars.values()) == [[0.5, 0.5], [0.5, 0.5]]


def test_ranges_are_drawn_as_coordinates(monkeypatch):
    spec = {"training.momentum": {"min": 0.1, "max": 0.9}, "training.epochs": [2, 3]}
    values = [{"training.momentum": 0.2, "training.epochs": 2}]
    kind, settings, accuracies, *_ = drawn(monkeypatch, spec, numbered(values), seeds=())
    assert kind == "parallel_coordinates"
    assert settings == {"training.momentum": [0.2], "training.epochs": [2]}
    assert accuracies == [0.5]


def test_choices_that_span_a_factor_of_ten_have_a_logarithmic_axis(monkeypatch):
    spec = {"training.learning_rate": [0.03, 0.3], "training.momentum": {"min": 0.1, "max": 0.9}}
    values = [{"training.learning_rate": v, "training.momentum": 0.2} for v in (0.03, 0.3)]
    *_, logarithmic = drawn(monkeypatch, spec, numbered(values), seeds=())
    assert logarithmic == {"training.learning_rate"}
