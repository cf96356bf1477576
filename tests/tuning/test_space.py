"""What a sweep may vary, and what is said where it cannot."""

import keras_tuner as kt
import pytest

from keras_simsiam import InputError
from keras_simsiam.presets import preset
from keras_simsiam.tuning import sweeps
from keras_simsiam.tuning.space import Space
from keras_simsiam.tuning.sweeps import SWEEPS, find

BASE = preset("photo_patches")


def test_grid_is_every_combination_that_counts_once():
    space = Space(find("predictor", BASE), BASE)
    grid = space.grid()
    assert len(grid) == 4 + 6 * 2
    assert len({tuple(values.items()) for values in grid}) == len(grid)
    runs = [space.run(values).model for values in grid]
    assert [m.predictor for m in runs[:4]] == ["mlp", "mlp", "fixed", "none"]
    assert {(m.predictor_hidden, m.predictor_layers) for m in runs[4:]} == {
        (hidden, layers) for hidden in (64, 128, 256, 512, 1024, 2048) for layers in (2, 3)
    }
    assert space.run(grid[1]).training.predictor_decay
    assert [space.paper(values) for values in grid[:4]] == ["68.1", "67.7", "1.5", "0.1"]
    assert not any(space.paper(values) for values in grid[4:])


def test_seeds_are_one_more_parameter_and_combinations_are_counted_without_them():
    space = Space({"model.predictor": ["mlp", "none"]}, BASE, seeds=[4, 5, 6])
    assert [(v["model.predictor"], v["training.seed"]) for v in space.grid()] == [
        *[("mlp", 4), ("mlp", 5), ("mlp", 6)],
        *[("none", 4), ("none", 5), ("none", 6)],
    ]
    assert [space.run(v).training.seed for v in space.grid()] == [4, 5, 6] * 2
    assert (space.size(), space.size(seeds=False)) == (6, 2)
    assert [p.name for p in space.varied] == ["model.predictor"]


def test_labels_are_the_choices_names_and_numbers_with_their_setting():
    space = Space(find("predictor", BASE), BASE, seeds=[0])
    labels = [space.label(values) for values in space.grid()]
    assert labels[1] == "rate decayed"
    assert labels[4] == "other size, predictor hidden 64, predictor layers 2"
    space = Space(find("batch_size", BASE), BASE)
    assert space.label(space.grid()[-1]) == "batch size 1024"


@pytest.mark.parametrize("name", SWEEPS)
def test_keras_tuner_draws_runs_from_every_sweep(name, monkeypatch):
    monkeypatch.setattr(sweeps, "count_images", lambda run: 5400)
    space = Space(find(name, BASE), BASE)
    hp = kt.HyperParameters()
    space.declare(hp)
    oracle = kt.oracles.RandomSearchOracle(
        objective=kt.Objective("knn_top1", "max"), hyperparameters=hp, seed=1
    )
    drawn = [oracle._random_values() for _ in range(20)]
    runs = {str(space.run(values).to_dict()) for values in drawn}
    assert len(runs) > min(3, space.size() - 1)
    for values in drawn:
        known = kt.HyperParameters()
        known.values = dict(values)
        # The same values are read back, those that do not count left out.
        assert space.run(space.declare(known)) == space.run(values)


def test_parameters_of_one_setting_have_one_heading_and_others_their_names():
    space = Space(find("methods", BASE), BASE)
    assert space.headings == ["method", "training.learning_rate", "model.temperature"]
    first = space.grid()[0]
    assert space.shown(first) == {"method": "simsiam", "training.learning_rate": 0.5}
    assert space.label(first) == "simsiam, learning rate 0.5"


def test_a_choice_is_checked_with_the_values_for_which_it_counts():
    spec = {
        "model.method": ["simsiam", "simclr", "byol"],
        "model.temperature": {"choices": [0.1, 0.5], "when": {"model.method": ["simclr"]}},
    }
    found = [run.model for run in map(Space(spec, BASE).run, Space(spec, BASE).grid())]
    assert [m.temperature for m in found] == [None, 0.1, 0.5, None]
    spec["model.temperature"]["when"] = {"model.method": ["simclr", "byol"]}
    with pytest.raises(InputError, match=r"temperature is an option of .*; byol does not have it"):
        Space(spec, BASE)


def test_jitter_strength_scales_all_four():
    space = Space(find("augmentation", BASE), BASE)
    values = {**space.grid()[0], "jitter strength": 0.5}
    a = space.run(values).augmentation
    assert (a.brightness, a.contrast, a.saturation, a.hue) == (0.2, 0.2, 0.2, 0.05)
    assert space.run({**values, "augmentation.crop_area": "0.4 to 1.0"}).augmentation.crop_area == (
        0.4,
        1.0,
    )


def test_ranges_have_no_grid_and_whole_numbers_stay_whole():
    space = Space({"training.epochs": {"min": 2, "max": 9}}, BASE)
    assert space.grid() is None
    hp = kt.HyperParameters()
    assert isinstance(space.declare(hp)["training.epochs"], int)


def test_hyperbands_epochs_take_the_place_of_the_runs():
    space = Space({"training.batch_size": [32]}, BASE)
    assert space.run({"training.batch_size": 32}, epochs=3).training.epochs == 3


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({}, "must be a mapping from parameters"),
        ({"training.lerning_rate": [1, 2]}, "unknown setting 'lerning_rate' of training"),
        ({"batch_size": [1, 2]}, "such as training.batch_size; got 'batch_size'"),
        ({"training.batch_size": [32, 1]}, "batch_size must be at least 2; got 1"),
        ({"training.batch_size": 32}, "must be a list of values or a mapping; got 32"),
        ({"training.batch_size": {"min": 9, "max": 3}}, "or a min and a larger max; got"),
        ({"training.batch_size": {"choice": [3]}}, "must be among choices, .*; got 'choice'"),
        (
            {"training.weight_decay": {"min": 0, "max": 1, "log": True}},
            "min of training.weight_decay must be above 0, with log: true; got 0",
        ),
        ({"p": {"choices": {"a": 3}}}, "must be a mapping of settings"),
        ({"p": {"choices": [{"a": 3}]}}, "must be a list of values"),
        ({"p": {"choices": {"a": {3: 4}}}}, "must have their section .*; got 3"),
        ({"training.epochs": {"min": 1, "max": 2, "log": "x"}}, "log .* true or false; got 'x'"),
        ({"training.epochs": {"choices": [1], "when": [2]}}, "when .* a mapping; got 2"),
        ({"training.epochs": {"choices": [1], "paper": 3}}, "paper .* a mapping; got 3"),
        (
            {"training.batch_size": {"choices": [32], "when": {"predictor": ["none"]}}},
            "must give an earlier parameter a list of its values; got predictor",
        ),
        (
            {
                "p": {"choices": {"a": {}}},
                "training.batch_size": {"choices": [32], "when": {"p": ["b"]}},
            },
            "must name choices of p, which are a; got 'b'",
        ),
    ],
)
def test_what_does_not_fit_is_named_before_anything_runs(spec, named):
    with pytest.raises(InputError, match=named):
        Space(spec, BASE)
