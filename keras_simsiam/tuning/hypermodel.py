"""SimSiam for people's own Keras Tuner."""

from __future__ import annotations

import keras_tuner as kt

from keras_simsiam.config import Run
from keras_simsiam.errors import InputError
from keras_simsiam.models.simsiam import SimSiam
from keras_simsiam.training.collapse import CollapseMonitor
from keras_simsiam.training.prepare import Inputs, build_model, load_inputs, load_weights, views_of
from keras_simsiam.tuning.space import Space


class SimSiamHyperModel(kt.HyperModel):
    """Builds and trains a `SimSiam` from hyperparameters, batch size and optimiser included::

        hypermodel = SimSiamHyperModel(run, {"training.batch_size": [32, 64, 128]})
        tuner = kt.RandomSearch(hypermodel, kt.Objective("knn_top1", "max"), max_trials=3)
        tuner.search()

    Args:
        run: The configuration whose settings the sweep changes; its dataset must have labelled
            training and test images.
        sweep: What varies, as `keras_simsiam.tuning.space` describes.

    Raises:
        InputError: If the sweep does not fit.
    """

    def __init__(self, run: Run, sweep: dict):
        super().__init__()
        self.space = Space(sweep, run)
        self.inputs: Inputs  # from `build`

    def build(self, hp: kt.HyperParameters) -> SimSiam:
        """The compiled model of a trial."""
        run = self.space.run(self.space.declare(hp))
        self.inputs = load_inputs(run)
        model = build_model(run, self.inputs)
        load_weights(run, model)
        return model

    def fit(self, hp: kt.HyperParameters, model: SimSiam, *args, **kwargs) -> dict[str, float]:
        """Trains a trial's model.

        Args:
            hp: Its hyperparameters.
            model: From `build`.
            *args: None; the images are the run's.
            **kwargs: As for `keras.Model.fit`; ``epochs`` where not the run's.

        Returns:
            ``knn_top1`` and ``knn_top5``, and what the last epoch logged: ``loss``, ``z_std``,
            ``projector_rank`` and the like.
        """
        run = self.space.run(self.space.declare(hp))
        inputs = self.inputs
        if inputs.monitor is None:
            raise InputError(f"dataset '{run.data.dataset}' has no labels, which kNN needs")
        watch = CollapseMonitor(inputs.images)
        first_epoch = kwargs.pop("initial_epoch", 0)
        inputs.monitor.epochs = kwargs.pop("epochs", run.training.epochs)
        history = model.fit(
            views_of(run, inputs, first_epoch * inputs.steps_per_epoch),
            epochs=inputs.monitor.epochs,
            initial_epoch=first_epoch,
            steps_per_epoch=inputs.steps_per_epoch,
            callbacks=[watch, inputs.monitor, *kwargs.pop("callbacks", [])],
            shuffle=False,
            **kwargs,
        )
        last = {name: values[-1] for name, values in history.history.items()}
        accuracy = inputs.monitor.latest or inputs.monitor.evaluate()
        return {**last, "knn_top1": accuracy.top1, "knn_top5": accuracy.top5}
