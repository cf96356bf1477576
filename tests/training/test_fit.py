"""What a run is warned of, and what a resumed one takes from its checkpoint."""

import warnings
from types import SimpleNamespace

import pytest

from keras_simsiam.environment import processor
from keras_simsiam.training import fit, prepare
from keras_simsiam.training.callbacks import HistoryFile, read_history


def state(folder, step, deterministic=True, natively=False, **resumed):
    """The state of a run with three steps an epoch that resumes at a step."""
    return fit._resumed_state(
        SimpleNamespace(
            run=SimpleNamespace(training=SimpleNamespace(deterministic=deterministic)),
            inputs=SimpleNamespace(steps_per_epoch=3),
            model=SimpleNamespace(steps_done=step),
            folder=SimpleNamespace(path=folder),
            resumed=resumed,
            chief=True,
        ),
        natively,
    )


def test_the_state_of_an_earlier_version_takes_its_rows_from_the_history(tmp_path):
    HistoryFile(tmp_path / "history.csv", [{"epoch": n, "loss": -n} for n in range(4)]).write()
    found = state(tmp_path, 7, metrics={"loss": [1.0, 2.0]})
    assert found["epochs"] == 2
    assert found["metrics"] == {"loss": [1.0, 2.0]}
    assert found["history"] == read_history(tmp_path / "history.csv")[:3]
    assert state(tmp_path, 0)["history"] == []  # a new run


def test_averages_of_a_complete_epoch_are_not_those_of_the_next(tmp_path):
    assert "metrics" not in state(tmp_path, 6, metrics={"loss": [1.0, 2.0]})
    # All steps of the second epoch are done, but not what follows them.
    found = state(tmp_path, 6, metrics={"loss": [1.0, 2.0]}, epochs=1)
    assert found["metrics"] == {"loss": [1.0, 2.0]}


def test_a_deterministic_run_says_that_another_processor_rounds_differently(tmp_path):
    with pytest.warns(UserWarning, match=r"on abacus, 1 core and continues on .*as many cores"):
        state(tmp_path, 6, processor="abacus, 1 core")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state(tmp_path, 6, processor=processor())
        state(tmp_path, 6, deterministic=False, processor="abacus, 1 core")


def test_a_deterministic_run_says_that_views_are_made_in_another_way(tmp_path):
    with pytest.warns(UserWarning, match="by TensorFlow and continues .* by keras_simsiam.native"):
        state(tmp_path, 6, natively=True, processor=processor())
    with pytest.warns(UserWarning, match="by keras_simsiam.native and continues .* TensorFlow"):
        state(tmp_path, 6, native=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state(tmp_path, 6, natively=True, native=True)
        state(tmp_path, 6, natively=False, native=False)
        state(tmp_path, 6, deterministic=False, natively=True, native=False)
        state(tmp_path, 0, natively=True)  # a new run


def test_a_run_of_few_steps_says_so():
    """As of a small folder with the batches of a large dataset."""

    def warned(steps_per_epoch, epochs):
        prepare._warn_if_short(
            SimpleNamespace(
                steps_per_epoch=steps_per_epoch,
                steps=steps_per_epoch * epochs,
                epochs=epochs,
                batch_size=512,
            )
        )

    with pytest.warns(UserWarning, match=r"100 in all, 1 per epoch.*smaller --batch-size"):
        warned(1, 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warned(5, 100)
        warned(1, 1000)  # many epochs make up for it
