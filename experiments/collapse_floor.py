"""Why the report's collapsed loss stops at −0.87: what BatchNorm sees, and its four departures.

The report trained without the stop-gradient and saw −0.87 where the paper saw −1. Its code differs
from the paper in four ways: batches of 16, gradients that are never zeroed between steps,
D(p1, z2) counted twice in place of the symmetric loss, and Adam at 4e-4. This holds the number of
steps and everything else, and changes first the batch, then each of the four, then all.
"""

from __future__ import annotations

import keras

from experiments import common
from keras_simsiam import Run, SimSiam, _compat, options, plots

STEPS = 600
RATE = 0.125  # held while the batch changes: the rate follows from the base rate × batch / 256
BATCHES = (16, 32, 64, 128, 256)


def never_zeroed(model: SimSiam) -> None:
    """Makes the optimisers see the sum of all gradients so far, as without ``zero_grad()``."""
    model.compile(_summing(model.optimizer), _summing(model.predictor_optimizer))


def adam(model: SimSiam) -> None:
    """Adam at a constant 4e-4 in place of SGD and its schedule."""
    model.compile(keras.optimizers.Adam(4e-4), keras.optimizers.Adam(4e-4))


def adam_never_zeroed(model: SimSiam) -> None:
    """Both, as in the report."""
    adam(model)
    never_zeroed(model)


def without_stop_gradient(batch: int, epochs_of: int, **model) -> dict:
    """Settings of a run of `STEPS` steps, with a dataset of `epochs_of` images."""
    epochs = max(1, round(STEPS / (epochs_of // batch)))
    return {
        "model": {"stop_gradient": False, **model},
        "training": {
            "batch_size": batch,
            "epochs": epochs,
            "learning_rate": RATE * 256 / batch,
        },
        "evaluation": {"knn_every": 0},
    }


def main(argv: list[str] | None = None) -> None:
    """Runs what has not been run, and writes the tables and the figure."""
    args = common.parse(__doc__.split("\n")[0], argv)
    base: Run = common.base_run(args)
    images = common.count_images(base)

    def settings(batch: int, **model) -> dict:
        return without_stop_gradient(batch, images, **model)

    batches = [common.Variant(f"batch {b}", settings(b)) for b in BATCHES]
    rows = common.run_all(base, batches, args.seeds)
    title = "Without the stop-gradient, by the number of images that BatchNorm sees."
    common.report(f"collapse_floor_batch_{args.dataset}", title, args, rows)
    losses = {
        batch: [r["loss"] for r in group]
        for batch, (_, group) in zip(BATCHES, common.grouped(rows), strict=True)
    }
    plots.metric_over(
        "images that BatchNorm sees",
        {"loss": losses},
        common.HERE / "figures" / f"collapse_floor_batch_{args.dataset}.png",
        f"without stop-gradient on {args.dataset}, {STEPS} steps",
        references={"the report, batch 16": -0.87},
    )
    once = {"symmetry": "asymmetric"}
    departures = [
        common.Variant("the paper's, batch 64", settings(64)),
        common.Variant("batch 16", settings(16)),
        common.Variant("gradients never zeroed", settings(64), prepare=never_zeroed),
        common.Variant("D(p1, z2) twice", settings(64, **once)),
        common.Variant("Adam 4e-4", settings(64), prepare=adam),
        common.Variant("all four", settings(16, **once), prepare=adam_never_zeroed),
    ]
    rows = common.run_all(base, departures, args.seeds)
    title = "Without the stop-gradient, with the report's four departures from the paper."
    common.report(f"collapse_floor_departures_{args.dataset}", title, args, rows)


def _summing(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The same kind of optimiser, applied to the sum of the gradients it has been given."""

    class Summing(type(optimizer)):
        sums = ()

        def build(self, variables):
            super().build(variables)
            self.sums = self.sums or [self.add_variable_from_reference(v, "sum") for v in variables]

        def apply_gradients(self, grads_and_vars, **kwargs):
            gradients, variables = zip(*grads_and_vars, strict=True)
            for total, gradient in zip(self.sums, gradients, strict=True):
                total.assign_add(gradient)
            sums = map(_compat.tensorflow_variable, self.sums)
            super().apply_gradients(zip(sums, variables, strict=True), **kwargs)

    # Known to Keras by a name of its own, so that a checkpoint can be read again.
    name = f"Summing{type(optimizer).__name__}"
    registered = keras.saving.register_keras_serializable("experiments", name)(Summing)
    return registered.from_config(optimizer.get_config())


if __name__ == "__main__":
    options.run_command(main)
