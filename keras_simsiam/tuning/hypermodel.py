"""SimSiam for your own Keras Tuner."""

from __future__ import annotations

import sys
from typing import Any

import keras_tuner as kt

from keras_simsiam.config import Run
from keras_simsiam.errors import InputError
from keras_simsiam.fields import checks_arguments
from keras_simsiam.models.base import JointEmbedding
from keras_simsiam.training.collapse import CollapseMonitor
from keras_simsiam.training.inputs import Inputs, load_inputs, views_of
from keras_simsiam.training.prepare import build_model
from keras_simsiam.training.start import load_weights, with_own_normalization
from keras_simsiam.tuning.space import Space


class SimSiamHyperModel(kt.HyperModel):
    """Builds and trains a model from hyperparameters, among them batch size and optimizer::

        hypermodel = SimSiamHyperModel(run, {"training.batch_size": [32, 64, 128]})
        tuner = kt.RandomSearch(hypermodel, kt.Objective("knn_top1", "max"), max_trials=3)
        tuner.search()

    Args:
        run: The run whose settings the sweep changes. Its dataset must have labeled training and
            test images.
        sweep: What varies; see `keras_simsiam.tuning.parameter`.

    Raises:
        InputError: If the sweep is invalid.
    """

    @checks_arguments
    def __init__(self, run: Run, sweep: dict):
        super().__init__()
        self.space = Space(sweep, run)
        self.inputs: Inputs  # from `build`

    def build(self, hp: kt.HyperParameters) -> JointEmbedding:
        """The compiled model of a trial."""
        run = self._run(hp)
        self.inputs = load_inputs(run)
        model = build_model(run, self.inputs)
        load_weights(run, model, self.inputs.image_size)
        return model

    def fit(
        self, hp: kt.HyperParameters, model: JointEmbedding, *args: Any, **kwargs: Any
    ) -> dict[str, float]:
        """Trains the model of a trial.

        Args:
            hp: The hyperparameters.
            model: From `build`.
            *args: Unused; the run has the images.
            **kwargs: See `keras.Model.fit`; ``epochs`` replaces the run's.

        Returns:
            ``knn_top1`` and ``knn_top5`` of the weights at the end, whichever callback ended the
            training, and the other metrics of the last epoch, such as ``loss``, ``z_std`` and
            ``projector_rank``.
        """
        run, inputs = self._run(hp), self.inputs
        if inputs.monitor is None:
            raise InputError(
                f"dataset must have labeled training and test images; got '{run.data.dataset}'"
            )
        first_epoch = kwargs.pop("initial_epoch", 0)
        inputs.monitor.epochs = kwargs.pop("epochs", run.training.epochs)
        given = kwargs.pop("callbacks", [])
        # A line per epoch, unless a terminal can redraw it.
        kwargs.setdefault("verbose", "auto" if sys.stdout.isatty() else 2)
        history = model.fit(
            views_of(run, inputs, first_epoch * inputs.steps_per_epoch),
            epochs=inputs.monitor.epochs,
            initial_epoch=first_epoch,
            steps_per_epoch=inputs.steps_per_epoch,
            callbacks=[
                CollapseMonitor(inputs.images, stop=run.training.stop_on_collapse),
                inputs.monitor,
                *given,
            ],
            shuffle=False,
            **kwargs,
        )
        last = {name: values[-1] for name, values in history.history.items()}
        # Weights may have been restored since the monitor measured them, as EarlyStopping does.
        restored = any(getattr(callback, "restore_best_weights", False) for callback in given)
        latest = None if restored or model.stop_training else inputs.monitor.latest
        accuracy = latest or inputs.monitor.evaluate()
        return {**last, "knn_top1": accuracy.top1, "knn_top5": accuracy.top5}

    def _run(self, hp: kt.HyperParameters) -> Run:
        return with_own_normalization(self.space.run(self.space.declare(hp)))
