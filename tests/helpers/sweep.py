"""The tune command on stand-ins for trainings: ``python sweep.py SWEEP OPTION…``.

For tests of what survives a kill, of chief and workers, and of what tables say, where the trainings
themselves do not matter. The accuracy of a trial follows from its batch size and its seed; a batch
of 999 does not fit in memory, one of 998 is interrupted, one of 997 diverges.
"""

import json
import os
import pathlib
import time

import tensorflow as tf

from keras_simsiam import TrainingDiverged, metrics, options, tune
from keras_simsiam.training.outcome import Outcome
from keras_simsiam.tuning import tuner

SLEEP = float(os.environ.get("SWEEP_SECONDS", "0"))
"""Seconds that a trial takes."""

SECONDS = 90.0
"""Seconds that it reports."""


def train(run, output, devices=None):
    """Writes what a training would."""
    batch = run.training.batch_size
    for _ in range(round(SLEEP / 0.05)):
        time.sleep(0.05)
    if batch == 999:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    if batch == 998:
        raise KeyboardInterrupt
    folder = pathlib.Path(output.run_dir) / output.name
    folder.mkdir(parents=True, exist_ok=True)
    run.save(folder / "config.yaml")
    (folder / "history.csv").write_text("epoch,loss,z_std,knn_top1\n1,-0.5,0.9,0.3\n")
    if batch == 997:
        raise TrainingDiverged("the loss became nan")
    exported = pathlib.Path(output.saved_model_dir) / output.name
    exported.mkdir(parents=True, exist_ok=True)
    (exported / "saved_model.pb").write_text(output.name)
    trained = run.model.predictor == "mlp" and run.model.stop_gradient
    accuracy = batch / 1000 + run.training.seed / 100 if trained else 0.01
    outcome = Outcome(
        status="finished",
        dataset=run.data.dataset,
        metrics={
            **{"knn_top1": accuracy, "knn_top5": accuracy, "loss": -accuracy, "z_std": 0.9},
            **{"backbone_rank": 30.0, "projector_rank": 20.0},
            metrics.baseline_key("knn_top1", "random_weights"): 0.05,
            metrics.baseline_key("knn_top1", "raw_pixels"): 0.04,
        },
        baseline_images="540 training and 108 test images",
        collapse=None if trained else "z is collapsing",
        collapsed=not trained,
        images_per_second=1000.0,
        epochs=run.training.epochs,
        steps=7,
        seconds=SECONDS,
        seed=run.training.seed,
        saved_model=str(exported),
        versions={"keras": "3"},
        processor="a processor, 2 cores",
    )
    (folder / "summary.json").write_text(json.dumps(outcome.to_dict()))
    return outcome


if __name__ == "__main__":
    tuner.train = train
    options.run_command(tune.main)
