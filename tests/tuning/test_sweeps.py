"""The paper's ablations: what they set, and that committed results are of the same."""

import csv
import pathlib

import pytest

from keras_simsiam import InputError
from keras_simsiam.method_options import METHOD_OPTIONS
from keras_simsiam.presets import preset
from keras_simsiam.tuning import sweeps
from keras_simsiam.tuning.space import Space
from keras_simsiam.tuning.sweeps import ABLATIONS, SWEEPS, find

BASE = preset("photo_patches")
RESULTS = pathlib.Path(__file__).parents[2] / "experiments/results"


def space(name, base=BASE, known=SWEEPS):
    return Space(find(name, base, known), base)


def runs(name, base=BASE):
    found = space(name, base)
    return [found.run(values) for values in found.grid()]


@pytest.mark.parametrize(
    "name", ["predictor", "batch_size", "batch_norm", "similarity", "symmetry", "stop_gradient"]
)
def test_the_papers_figures_are_those_of_the_committed_results(name):
    with (RESULTS / f"{name}_photo_patches.csv").open(newline="") as file:
        rows = {row["variant"]: row["paper"] for row in csv.DictReader(file)}
    found = space(name, known=ABLATIONS)
    assert [found.paper(values) for values in found.grid()] == list(rows.values())


def test_batches_scale_the_rate_and_the_largest_warms_up_for_a_tenth():
    training = [run.training for run in runs("batch_size", BASE.replace(training={"epochs": 100}))]
    assert [t.batch_size for t in training] == [16, 32, 64, 128, 256, 512, 1024]
    assert [t.warmup_epochs for t in training] == [0] * 6 + [10]
    # paper_optimizers scales this base rate by the batch.
    assert {t.learning_rate for t in training} == {BASE.training.learning_rate}
    assert runs("batch_size", BASE.replace(training={"epochs": 8}))[-1].training.warmup_epochs == 1


def test_lengths_are_parts_of_the_runs_epochs():
    base = BASE.replace(training={"epochs": 800})
    assert [run.training.epochs for run in runs("epochs", base)] == [100, 200, 400, 800]
    found = space("epochs", base)
    figures = [found.paper(values) for values in found.grid()]
    assert figures == ["68.1", "70.0", "70.8", "71.3"]


def test_collapsed_runs_are_compared_at_the_same_steps_and_the_same_rate(monkeypatch):
    monkeypatch.setattr(sweeps, "count_images", lambda run: 5400)
    found = runs("collapse_floor")
    assert not any(run.model.stop_gradient for run in found)
    for run in found:
        steps = run.training.epochs * (5400 // run.training.batch_size)
        assert abs(steps - sweeps.FLOOR_STEPS) <= 0.3 * sweeps.FLOOR_STEPS
        rate = run.training.learning_rate * run.training.batch_size / 256
        adam = run.training.optimizer == "adam"
        assert rate == pytest.approx(4e-4 if adam else sweeps.FLOOR_RATE)


def test_each_of_the_reports_departures_is_one_change_and_the_last_run_has_all(monkeypatch):
    monkeypatch.setattr(sweeps, "count_images", lambda run: 5400)
    found = space("collapse_floor")
    by_label = {found.label(values): found.run(values) for values in found.grid()}
    base = by_label["batch 64"]
    changes = {
        "gradients never zeroed": base.replace(training={"zero_gradients": False}),
        "D(p1, z2) twice": base.replace(model={"symmetry": "asymmetric"}),
    }
    for label, expected in changes.items():
        assert by_label[label] == expected
    adam = by_label["Adam 4e-4"].training
    assert (adam.optimizer, adam.schedule, adam.weight_decay) == ("adam", "constant", 0)
    everything = by_label["all four"]
    assert everything.training.batch_size == 16
    assert everything.training.optimizer == "adam"
    assert everything.training.schedule == "constant"
    assert not everything.training.zero_gradients
    assert everything.model.symmetry == "asymmetric"


def test_the_search_tries_rates_of_every_method_and_temperatures_of_those_that_have_one():
    tried = {}
    for run in runs("methods"):
        rate, temperature = run.training.learning_rate, run.model.temperature
        tried.setdefault(run.model.method, set()).add(
            (rate / BASE.training.learning_rate, temperature)
        )
    assert set(tried) == set(METHOD_OPTIONS)
    assert {rate for rate, _ in tried["byol"]} == {1, 2, 4}  # its own loss is a sum, and doubled
    for method, settings in tried.items():
        has_one = "temperature" in METHOD_OPTIONS[method]
        assert {t for _, t in settings} == ({0.1, 0.2} if has_one else {None})


def test_a_method_has_the_settings_of_the_dataset_in_every_comparison():
    found = space("methods", BASE.replace(training={"epochs": 32}), ABLATIONS)
    by_label = {found.label(values): found.run(values) for values in found.grid()}
    assert list(by_label)[:2] == ["simsiam, 8 epochs", "fastsiam, 8 epochs"]
    assert len(by_label) == 3 * (1 + len(METHOD_OPTIONS))
    for label, run in by_label.items():
        method, epochs = label.removesuffix(" epochs").split(", ")
        fast = method == "fastsiam"
        alone = preset("photo_patches", "simsiam" if fast else method)
        symmetry = {"symmetry": "fastsiam"} if fast else {}
        assert run == alone.replace(training={"epochs": int(epochs)}, model=symmetry)
    figures = {found.label(values): found.paper(values) for values in found.grid()}
    assert figures["byol, 32 epochs"] == "74.3"
    assert figures["vicreg, 32 epochs"] == ""


def test_each_relation_is_one_change_from_its_method():
    found = space("relations", known=ABLATIONS)
    by_label = {found.label(values): found.run(values) for values in found.grid()}
    simclr, swav, byol = (preset("photo_patches", m) for m in ("simclr", "swav", "byol"))
    with_predictor = simclr.replace(model={"predictor": "mlp"})
    assert by_label == {
        "SimSiam": BASE,
        "BYOL: SimSiam with a momentum target": byol,
        "BYOL without its target": byol.replace(model={"target": "self"}),
        "SimCLR": simclr,
        "SimCLR with predictor": with_predictor,
        "SimCLR with predictor and stop-gradient": with_predictor.replace(
            model={"stop_gradient": True}
        ),
        "SwAV": swav,
        "SwAV with predictor": swav.replace(model={"predictor": "mlp"}),
        "SwAV without stop-gradient": swav.replace(model={"stop_gradient": False}),
    }


def test_targets_are_renewed_once_an_epoch_at_most_and_the_predictor_is_a_quarter_of_z(monkeypatch):
    monkeypatch.setattr(sweeps, "count_images", lambda run: 5400)
    targets = [run.model.target for run in runs("targets")]
    periods = ["every:10", "every:100", "every:84"]
    assert targets == ["self", *periods, "momentum:0.99", "images:0.8"]
    assert runs("targets")[-1].model.predictor == "none"
    models = [run.model for run in runs("dimension")]
    assert [m.projector_dim for m in models] == [256, 512, 1024, 2048]
    assert {m.predictor_hidden for m in models} == {None}  # a quarter


def test_images_are_counted_where_the_sweep_needs_their_number():
    assert sweeps.count_images(BASE) == 5400


def test_an_unknown_sweep_is_named_with_those_that_exist():
    with pytest.raises(InputError, match=r"one of predictor, .*, full, or a YAML.*'predictors'"):
        find("predictors", BASE)
