"""Keras Tuner with SimSiam in your own script, as keras_simsiam/tuning/README.md shows it."""

import keras_tuner as kt

import keras_simsiam as ks

run = ks.preset("photo_patches").replace(training={"epochs": 3})
sweep = {
    "training.batch_size": [32, 64, 128],
    "training.learning_rate": {"min": 0.1, "max": 1.0, "log": True},
    "model.predictor_hidden": [64, 128, 256],
}
tuner = kt.RandomSearch(
    ks.SimSiamHyperModel(run, sweep),
    objective=kt.Objective("knn_top1", "max"),
    max_trials=3,
    seed=1,
    directory="runs",
    project_name="own_tuner",
)
tuner.search()
tuner.results_summary()
