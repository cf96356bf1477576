"""Callbacks of a user in a run: what they get, what they may do, and what is said if they fail."""

import json
import sys

import pytest
from helpers import write_image

from keras_simsiam import InputError, preset
from keras_simsiam.errors import CallbackFailed
from keras_simsiam.training.folder import RunFolder
from keras_simsiam.training.output import Output
from keras_simsiam.training.run import train
from keras_simsiam.training.user_callbacks import make_callbacks

MODULE = """
import keras
class Fails(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise ConnectionError("no server")
class Stops(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True
def nothing(): return None
def fails(): return keras.no_such_name
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of two epochs on a few images, in a current folder with the module ``my_callbacks``."""
    for i in range(8):
        write_image(tmp_path / f"images/{i}.png", i)
    (tmp_path / "my_callbacks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_callbacks", raising=False)
    return preset("photo_patches").replace(
        data={"dataset": "folder:images", "image_size": 16},
        model={"width": 1, "projector_dim": 4},
        training={"epochs": 2, "batch_size": 4},
    )


@pytest.mark.usefixtures("tiny_backbones")
def test_the_example_logs_each_epoch_and_a_callback_may_end_the_run(run, tmp_path):
    callbacks = ["experiments.own_callback:make", "my_callbacks:Stops"]
    outcome = train(run, Output("a", callback=callbacks))
    assert (outcome.status, outcome.epochs) == ("stopped", 1)
    settings, epoch = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert settings["batch_size"] == 4
    assert epoch["epoch"] == 1
    assert epoch["loss"] == pytest.approx(outcome.metrics["loss"])
    with pytest.raises(InputError, match="was stopped by a callback"):
        train(run, Output("a", resume=True))


@pytest.mark.usefixtures("tiny_backbones")
def test_a_callback_that_fails_is_named_and_the_run_can_be_resumed(run, tmp_path):
    with pytest.raises(
        CallbackFailed,
        match=r"callback my_callbacks:Fails raises ConnectionError \(my_callbacks.py, line 5\): "
        "no server in on_epoch_end; without it, .* --resume",
    ):
        train(run, Output("a", callback=["my_callbacks:Fails"]))
    assert RunFolder(Output("a"), run.data.dataset).settings() == run


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my_callbacks:nothing", r"must return a keras\.callbacks\.Callback; got None"),
        ("my_callbacks:fails", r"fails raises AttributeError \(my_callbacks.py, line \d+\)"),
        ("my_callbacks:none", "must have a function none"),
        ("my_callbacks", "callback must be MODULE:FUNCTION"),
    ],
)
def test_what_is_no_callback_is_one_line_and_nothing_is_written(run, name, said):
    with pytest.raises(InputError, match=said):
        make_callbacks([name], run)
