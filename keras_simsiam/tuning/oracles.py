"""Keras Tuner's oracles, which decide on the values of each trial; one function per tuner."""

from __future__ import annotations

import sys
from collections.abc import Callable

import keras_tuner as kt

from keras_simsiam.errors import InputError
from keras_simsiam.fields import choices
from keras_simsiam.tuning.search import Search
from keras_simsiam.tuning.space import Space

OBJECTIVE = kt.Objective("knn_top1", "max")

LARGEST_GRID = 64
"""Combinations up to which "auto" is a grid."""

MAX_TRIALS = 20
"""Trials of a random or Bayesian search by default."""

Searched = tuple[kt.Oracle, int]
"""An oracle, and how many trials it will have at most."""


def make_oracle(search: Search, space: Space) -> Searched:
    """The oracle of a search.

    Args:
        search: The options of the search.
        space: What it searches. The base run's seed is that of its draws, and its epochs are the
            longest training of Hyperband.

    Returns:
        The oracle, and how many trials it will have at most.

    Raises:
        InputError: If a grid is required and there is none.
    """
    kind = search.tuner
    if kind == "auto":
        kind = "grid" if search.seeds or space.size() <= LARGEST_GRID else "random"
    hyperparameters = kt.HyperParameters()
    space.declare(hyperparameters)
    shared = {
        "objective": OBJECTIVE,
        "hyperparameters": hyperparameters,
        # Keras Tuner replaces 0 by a random seed.
        "seed": space.base.training.seed + 1,
        # A sweep continues however many of its trials fail.
        "max_consecutive_failed_trials": sys.maxsize,
    }
    return ORACLES[kind](space, search.max_trials, shared)


def grid(space: Space, max_trials: int | None, shared: dict) -> Searched:
    """All combinations of values, in order."""
    combinations = space.grid()
    if combinations is None:
        raise InputError("tuner grid needs a list of values for each parameter; got a range")
    oracle = GridOracle(combinations[:max_trials], **shared)
    return oracle, len(oracle.combinations)


def random(space: Space, max_trials: int | None, shared: dict) -> Searched:
    """Combinations drawn at random."""
    trials = int(min(max_trials or MAX_TRIALS, space.size()))
    return kt.oracles.RandomSearchOracle(max_trials=trials, **shared), trials


def bayesian(space: Space, max_trials: int | None, shared: dict) -> Searched:
    """Combinations that a Gaussian process expects to be good."""
    trials = int(min(max_trials or MAX_TRIALS, space.size()))
    return kt.oracles.BayesianOptimizationOracle(max_trials=trials, **shared), trials


def hyperband(space: Space, max_trials: int | None, shared: dict) -> Searched:
    """Many short trainings, the best of them again for longer."""
    oracle = kt.oracles.HyperbandOracle(max_epochs=space.base.training.epochs, **shared)
    # There is no public way to ask how many trials its brackets have.
    trials = sum(
        oracle._get_size(bracket, round_)
        for bracket in range(oracle._get_num_brackets())
        for round_ in range(oracle._get_num_rounds(bracket))
    )
    oracle.max_trials = max_trials
    return oracle, min(trials, max_trials or trials)


class GridOracle(kt.Oracle):
    """Goes through a list of combinations in order.

    Keras Tuner's own grid search does not save its position and ends when it is resumed; the
    position of this one is the number of trials.

    Args:
        combinations: Values of each trial.
        **kwargs: See `keras_tuner.Oracle`.
    """

    def __init__(self, combinations: list[dict], **kwargs):
        super().__init__(**kwargs)
        self.combinations = combinations

    def populate_space(self, trial_id: str) -> dict:
        """The next combination, or the end."""
        number = len(self.start_order)
        if number >= len(self.combinations):
            return {"status": "STOPPED"}
        return {"status": "RUNNING", "values": self.combinations[number]}


ORACLES: dict[str, Callable[[Space, int | None, dict], Searched]] = {
    name: globals()[name] for name in choices(Search, "tuner") if name != "auto"
}
