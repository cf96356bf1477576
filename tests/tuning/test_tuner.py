"""The tuner's own state, and which oracle a name stands for."""

import pytest

from keras_simsiam import InputError
from keras_simsiam.fields import choices
from keras_simsiam.presets import preset
from keras_simsiam.tuning.oracles import ORACLES, GridOracle, make_oracle
from keras_simsiam.tuning.search import Search
from keras_simsiam.tuning.space import Space

BASE = preset("photo_patches")
FEW = Space({"training.batch_size": [32, 64]}, BASE)
RANGE = Space({"training.momentum": {"min": 0.5, "max": 0.9}}, BASE)


def test_every_tuner_has_its_oracle():
    assert ["auto", *ORACLES] == list(choices(Search, "tuner"))


def test_auto_is_a_grid_for_few_combinations_or_with_seeds_and_else_random():
    many = {"training.batch_size": list(range(2, 102))}
    for space, search, is_grid, trials in (
        (FEW, Search(), True, 2),
        (RANGE, Search(), False, 20),
        (Space(many, BASE), Search(), False, 20),
        (Space(many, BASE, [0, 1]), Search(seeds=[0, 1]), True, 200),
    ):
        oracle, count = make_oracle(search, space)
        assert isinstance(oracle, GridOracle) == is_grid
        assert count == trials


def test_a_grid_of_a_range_is_refused():
    with pytest.raises(InputError, match="a list of values for each parameter; got a range"):
        make_oracle(Search(tuner="grid"), RANGE)
