"""`SimSiamHyperModel` in Keras Tuner's own tuners."""

import keras
import keras_tuner as kt
import pytest
from helpers import write_image
from helpers.killed import tiny

from keras_simsiam import SimSiamHyperModel, preset
from keras_simsiam.models.resnet import BACKBONES

EPOCHS = []


class CountEpochs(keras.callbacks.Callback):
    """Counts the epochs; Keras Tuner copies callbacks."""

    def on_epoch_end(self, epoch, logs=None):
        EPOCHS.append(epoch)


class Prune(keras.callbacks.Callback):
    """Gives every trial up after its second epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 1


@pytest.fixture
def hypermodel(tmp_path, monkeypatch):
    monkeypatch.setitem(BACKBONES, "resnet18", tiny)
    for split, count in (("train", 6), ("val", 2)):
        for label in ("cat", "dog"):
            for i in range(count):
                write_image(tmp_path / split / label / f"{i}.png", i, (8, 8))
    run = preset("photo_patches").replace(
        data={"dataset": f"folder:{tmp_path}"},
        model={"width": 2, "projector_dim": 4, "projector_layers": 2},
        training={"batch_size": 4, "epochs": 9},
        evaluation={"knn_every": 5},
    )
    return SimSiamHyperModel(run, {"training.learning_rate": [0.1]})


@pytest.mark.slow
@pytest.mark.parametrize(
    "callback",
    [
        keras.callbacks.EarlyStopping("loss", min_delta=9.0, patience=1, restore_best_weights=True),
        Prune(),
    ],
    ids=["early stopping", "pruning"],
)
def test_a_trial_that_ends_where_knn_is_not_due_is_scored(callback, hypermodel, tmp_path):
    EPOCHS.clear()
    tuner = kt.RandomSearch(
        hypermodel, kt.Objective("knn_top1", "max"), max_trials=1, directory=str(tmp_path)
    )
    tuner.search(verbose=0, callbacks=[callback, CountEpochs()])
    (trial,) = tuner.oracle.trials.values()
    assert EPOCHS == [0, 1]
    assert (trial.status, trial.score) == ("COMPLETED", pytest.approx(0.5, abs=0.5))
    assert {"knn_top5", "loss", "z_std"} <= trial.metrics.metrics.keys()
