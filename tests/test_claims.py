"""What results say of the report's claims."""

import pytest

from experiments import common, judging
from experiments.claims import CLAIMS
from experiments.evidence import Experiment
from keras_simsiam import Run
from keras_simsiam.tuning.ledger import Entry
from keras_simsiam.tuning.results import Line


def test_without_results_every_claim_is_open(monkeypatch, tmp_path):
    monkeypatch.setattr(common, "HERE", tmp_path)
    assert {claim.judge([]).verdict for claim in CLAIMS} == {"open"}


def found(sweep, variants, dataset="photo_patches", preset="", epochs=8, image_size=None):
    """Results of a sweep: for each variant the metrics of its seeds."""
    lines = [
        Line(label, {}, [Entry(i, {}, "finished", metrics=m) for i, m in enumerate(seeds)])
        for label, seeds in variants.items()
    ]
    data = {"dataset": dataset, "image_size": image_size}
    run = Run().replace(data=data, training={"epochs": epochs})
    about = {"configuration": run.to_dict()}
    return Experiment(f"{sweep}_{dataset}{preset}", about, lines)


def knn_top1(*accuracies):
    return [{"knn_top1": value, "steps": 7} for value in accuracies]


@pytest.mark.parametrize(
    ("simsiam", "simclr", "verdict"),
    [
        (knn_top1(0.6, 0.7), knn_top1(0.4, 0.5), "reproduced"),
        (knn_top1(0.6, 0.7), knn_top1(0.8, 0.9), "contradicted"),
        (knn_top1(0.6, 0.7), knn_top1(0.65, 0.8), "open"),
        (knn_top1(0.6), knn_top1(0.63), "open"),  # less than seeds differ
        (knn_top1(0.6), knn_top1(0.65), "contradicted"),
    ],
)
def test_methods_are_told_apart_only_beyond_their_seeds(simsiam, simclr, verdict):
    results = [found("methods", {"simsiam, 8 epochs": simsiam, "simclr, 8 epochs": simclr})]
    assert judging.better_than_simclr(results).verdict == verdict
    assert judging.competitive_when_short(results).verdict == verdict
    assert judging.others_gain_more(results).verdict == "open"  # one length


def test_longer_trainings_answer_whether_others_gain_more():
    short = {"simsiam, 8 epochs": knn_top1(0.6, 0.7), "byol, 8 epochs": knn_top1(0.6, 0.7)}
    long = {"simsiam, 32 epochs": knn_top1(0.7, 0.7), "byol, 32 epochs": knn_top1(0.8, 0.8)}
    assert judging.others_gain_more([found("methods", short | long)]).verdict == "reproduced"


def test_comparisons_at_two_sizes_of_the_images_are_told_apart():
    variants = {"simsiam, 8 epochs": knn_top1(0.6, 0.7), "simclr, 8 epochs": knn_top1(0.4, 0.5)}
    results = [
        found("methods", variants, "tiny_imagenet"),
        found("methods", variants, "tiny_imagenet", "_32", image_size=32),
    ]
    for judge in (judging.competitive_when_short, judging.better_than_simclr):
        said = judge(results).because
        assert len(set(said)) == len(said)
    assert "tiny_imagenet at 32 pixels, 8 epochs" in judging.better_than_simclr(results).because[1]


def test_the_reports_floor_is_reproduced_by_its_own_settings_only():
    def losses(value):
        return [{"loss": value, "steps": 624}]

    floor = found(
        "collapse_floor_departures",
        {
            "the paper's, batch 64": losses(-0.96),
            "batch 16": losses(-0.92),
            "all four": losses(-0.9),
        },
    )
    without = {"without stop-gradient": losses(-0.87)}
    paper = found("stop_gradient", without, "tiny_imagenet")
    report = found("stop_gradient", without, "tiny_imagenet", "_report")
    assert judging.floor([floor, paper]).verdict == "explained"
    judged = judging.floor([floor, report])
    assert judged.verdict == "reproduced"
    assert judged.figures[-1] == "stop_gradient_tiny_imagenet_report"
    with_it = {"with stop-gradient": losses(-0.7)}
    for length, verdict in ((4, "open"), (50, "reproduced")):
        results = [found("stop_gradient", with_it, "tiny_imagenet", epochs=length)]
        assert judging.around_minus_07(results).verdict == verdict
    far = found("stop_gradient", {"with stop-gradient": losses(-0.5)}, "tiny_imagenet", epochs=50)
    assert judging.around_minus_07([*results, far]).verdict == "open"
    assert judging.around_minus_07([far]).verdict == "contradicted"
