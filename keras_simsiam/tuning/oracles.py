"""Keras Tuner's oracles, which decide on the values of each trial; one function per tuner."""

from __future__ import annotations

import _thread
import json
import pathlib
import sys
import threading
from collections.abc import Callable

import keras_tuner as kt

from keras_simsiam.errors import InputError
from keras_simsiam.fields import choices
from keras_simsiam.files import write_json
from keras_simsiam.tuning.search import Search
from keras_simsiam.tuning.space import Space

OBJECTIVE = kt.Objective("knn_top1", "max")

LARGEST_GRID = 64
"""Combinations up to which "auto" is a grid."""

MAX_TRIALS = 20
"""Trials of a random or Bayesian search by default."""


class KeptOracle(kt.Oracle):
    """An oracle whose state, its trials included, is one file that is replaced as a whole.

    Keras Tuner itself writes a file for each trial and one for the rest, in place and one after the
    other, so that a kill leaves torn files, or files that contradict each other.

    Attributes:
        path: The file.
        has_ended: Whether a trial need not be trained again.
        error: Why the state could not be written for a worker, which is told nothing of it: the
            main thread is interrupted instead.
    """

    path: pathlib.Path
    has_ended: Callable[[kt.engine.trial.Trial], bool]
    error: OSError | None = None

    def save(self) -> None:
        """Writes the state."""
        trials = {name: trial.get_state() for name, trial in self.trials.items()}
        try:
            write_json(self.path, {**self.get_state(), "trials": trials})
        except OSError as e:
            # Keras Tuner would never free its lock if this were raised while it serves a worker.
            if threading.current_thread() is threading.main_thread():
                raise
            self.error = e
            _thread.interrupt_main()

    def reload(self) -> None:
        """Continues from the state, if there is any; trials that were cut off are the next.

        Without it, or with that of an earlier version, the oracle starts again: it draws the same
        values as before, and trials that the ledger knows to have ended are not trained again.
        """
        fresh = self.get_state()
        try:
            state = json.loads(self.path.read_text())
            restore = kt.engine.trial.Trial.from_state
            self.trials = {name: restore(trial) for name, trial in state["trials"].items()}
            self.set_state(state)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.trials = {}
            self.set_state(fresh)
        self.ongoing_trials: dict = {}
        self._retry_queue = [name for name, t in self.trials.items() if not self.has_ended(t)]

    def _save_trial(self, trial) -> None:
        """Nothing: `save` writes all trials."""


Searched = tuple[KeptOracle, int]
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
    return RandomOracle(max_trials=trials, **shared), trials


def bayesian(space: Space, max_trials: int | None, shared: dict) -> Searched:
    """Combinations that a Gaussian process expects to be good."""
    trials = int(min(max_trials or MAX_TRIALS, space.size()))
    return BayesianOracle(max_trials=trials, **shared), trials


def hyperband(space: Space, max_trials: int | None, shared: dict) -> Searched:
    """Many short trainings, the best of them again for longer."""
    oracle = HyperbandOracle(max_epochs=space.base.training.epochs, **shared)
    # There is no public way to ask how many trials its brackets have.
    trials = sum(
        oracle._get_size(bracket, round_)
        for bracket in range(oracle._get_num_brackets())
        for round_ in range(oracle._get_num_rounds(bracket))
    )
    oracle.max_trials = max_trials
    return oracle, min(trials, max_trials or trials)


class RandomOracle(KeptOracle, kt.oracles.RandomSearchOracle):
    """Keras Tuner's, with its state in one file."""


class BayesianOracle(KeptOracle, kt.oracles.BayesianOptimizationOracle):
    """Keras Tuner's, with its state in one file."""


class HyperbandOracle(KeptOracle, kt.oracles.HyperbandOracle):
    """Keras Tuner's, with its state in one file."""


class GridOracle(KeptOracle):
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
