"""Checkpoints that several tests read."""

import subprocess

import keras
import pytest
from helpers.checkpointed import fit, make

from keras_simsiam.training.checkpoints import Checkpoints


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with checkpoints of four epochs, three of them kept."""
    folder = tmp_path_factory.mktemp("trained") / "checkpoints"
    accuracies = iter([0.3, 0.5, 0.4, 0.5])
    log = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(knn_top1=next(accuracies))
    )
    fit(make(), [log, Checkpoints(folder, remember=lambda: {"dataset": "noise"})], epochs=4)
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    """A copy to damage."""
    subprocess.run(["cp", "-r", str(trained), str(tmp_path / "copy")], check=True)
    return tmp_path / "copy"
