"""`train` as a function: the outcome that it returns, and the state that it leaves."""

import json
import os
import signal

import pytest
from tensorflow.python.framework.config import is_op_determinism_enabled

from keras_simsiam import TrainingDiverged, preset
from keras_simsiam.environment import processor
from keras_simsiam.training.callbacks import StopOnBadLoss
from keras_simsiam.training.output import Output
from keras_simsiam.training.run import train

SMALL = preset("photo_patches").replace(
    model={"width": 2, "projector_dim": 16},
    training={"epochs": 2, "batch_size": 1800, "deterministic": True},  # 3 steps per epoch
    evaluation={"knn_every": 0},
)


@pytest.fixture
def output(tmp_path):
    return Output("run", str(tmp_path / "runs"), str(tmp_path / "saved"))


def at_step(step, act, monkeypatch):
    """Calls a function after a step of the training."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.steps_done == step:
            act()

    monkeypatch.setattr(StopOnBadLoss, "on_train_batch_end", on_train_batch_end)


@pytest.mark.slow
def test_a_preempted_run_writes_a_checkpoint_only_and_resumes_to_a_typed_outcome(
    output, tmp_path, monkeypatch
):
    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        at_step(4, lambda: os.kill(os.getpid(), signal.SIGTERM), patch)
        outcome = train(SMALL, output)
    assert (outcome.status, outcome.steps, outcome.epochs) == ("preempted", 4, 1)
    assert outcome.metrics == {}
    assert outcome.saved_model is None
    folder = tmp_path / "runs/run"
    assert (folder / "checkpoints/step-00000004.keras").exists()
    assert not (folder / "summary.json").exists()
    assert not (tmp_path / "saved").exists()
    assert signal.getsignal(signal.SIGTERM) == handler
    assert not is_op_determinism_enabled()  # or the next run of this process would be as slow

    outcome = train(SMALL, output.replace(resume=True))
    assert (outcome.status, outcome.steps, outcome.epochs) == ("finished", 6, 2)
    assert outcome.processor == processor()
    assert outcome.metrics["knn_top1"] > outcome.metrics["knn_top1_random_weights"] > 0
    assert outcome.metrics["knn_top5"] > outcome.metrics["knn_top1"]
    flat = outcome.to_dict()
    assert flat == json.loads((folder / "summary.json").read_text())
    assert flat["knn_top1"] == outcome.metrics["knn_top1"]
    assert "metrics" not in flat


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_backbones")
def test_a_diverged_run_without_checkpoint_has_a_summary_but_no_encoder(
    output, tmp_path, monkeypatch
):
    def diverge():
        raise TrainingDiverged("the loss became nan")

    at_step(2, diverge, monkeypatch)
    with pytest.raises(TrainingDiverged, match="became nan"):
        train(SMALL, output)
    summary = json.loads((tmp_path / "runs/run/summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("diverged", 2)
    assert summary["saved_model"] is None
    assert summary["loss"] is None
    assert summary["knn_top1"] is None
    assert summary["knn_top1_raw_pixels"] > 0
    assert not is_op_determinism_enabled()
