"""The tune command on trainings that only sleep: ``python sweep.py SECONDS OPTION…``.

For tests of what survives a kill, and of chief and workers, where the trainings themselves do not
matter. The accuracy of a trial follows from its batch size; a batch of 999 does not fit in memory.
"""

import os
import pathlib
import time

import tensorflow as tf

from keras_simsiam import options, tune
from keras_simsiam.tuning import tuner

SECONDS = float(os.environ.get("SWEEP_SECONDS", "0"))


def train(run, output, prepare=None, devices=None):
    """Writes what a training would."""
    batch = run.training.batch_size
    for _ in range(round(SECONDS / 0.05)):
        time.sleep(0.05)
    if batch == 999:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    if batch == 998:
        raise KeyboardInterrupt
    folder = pathlib.Path(output.run_dir) / output.name
    folder.mkdir(parents=True, exist_ok=True)
    run.save(folder / "config.yaml")
    exported = pathlib.Path(output.saved_model_dir) / output.name
    exported.mkdir(parents=True, exist_ok=True)
    (exported / "saved_model.pb").write_text(output.name)
    accuracy = batch / 1000 if run.model.predictor == "mlp" else 0.01
    collapsed = run.model.predictor == "none"
    return {
        "status": "finished",
        "knn_top1": accuracy,
        "knn_top5": accuracy,
        "loss": -accuracy,
        "z_std": 0.9,
        "projector_rank": 20.0,
        "backbone_rank": 30.0,
        "seconds": SECONDS,
        "knn_top1_random_weights": 0.05,
        "knn_top1_raw_pixels": 0.04,
        "collapse": "z is collapsing" if collapsed else None,
        "collapsed": collapsed,
    }


if __name__ == "__main__":
    tuner.train = train
    options.run_command(tune.main)
