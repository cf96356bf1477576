"""Steps on one device, on two, or in two processes.

``python parity.py MODE DTYPE OUT STEPS METHOD…``: MODE is none, mirrored or multi_worker (from
TF_CONFIG); DTYPE is float32 or float64; METHOD is one of `config.Model.method`, or "images" for
SimSiam with a target of each image. The loss and z_std of each step and the final weights are
written to OUT, as METHOD/logs and METHOD/weights.
"""

import sys

import keras
import numpy as np
from backbones import BACKBONES, TINY

from keras_simsiam import _compat, data, presets
from keras_simsiam.training.devices import Devices, make_strategy, share_out
from keras_simsiam.training.prepare import build_model, load_inputs

mode, dtype, out, steps, *methods = sys.argv[1:]
# Rounding grows with every step at usual learning rates, so that float32 is compared at a lower
# rate, and float64 at the usual one.
rate = 0.5 if dtype == "float64" else 0.002
keras.backend.set_floatx(dtype)
BACKBONES.update(TINY)
strategy = make_strategy(Devices(mode, 2 if mode == "mirrored" else 1))
settings = {
    "images": {"target": "images:0.8"},
    "byol": {"method": "byol", "symmetry": "fastsiam", "views": 3},
    "moco": {"method": "moco", "queue": 200},
    "swav": {"method": "swav", "prototypes": 64, "predictor": "mlp", "small_views": 1},
    "simclr": {"method": "simclr", "predictor": "mlp", "stop_gradient": True},
}


def train(method):
    """Losses and weights by name."""
    small = {"width": 4, **settings.get(method, {"method": method})}
    run = presets.preset("photo_patches").replace(
        model=small, training={"epochs": 3, "learning_rate": rate}
    )
    object.__setattr__(run.training, "precision", dtype)
    inputs = load_inputs(run)
    with strategy.scope():
        model = build_model(run, inputs)
    logs = []
    epoch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda e, values: logs.append([values["loss"], values["z_std"]])
    )

    def views(part):
        options = {"numbered": method == "images", "count": run.model.view_count}
        options["small_views"] = run.model.small_views_of(inputs.image_size)
        made_of = inputs.images, run.augmentation, 64, 3, inputs.image_size
        return data.views(*made_of, part=part, **options)

    model.fit(
        share_out(strategy, views),
        steps_per_epoch=1,
        epochs=int(steps),
        shuffle=False,
        callbacks=[epoch],
        verbose=0,
    )
    assert model.steps_done == int(steps)
    networks = [*model.parts.values(), *([model.targets] if model.targets else [])]
    kept = [w for network in networks for w in network.weights]
    # Keras 2 keeps the unbiased variance of images on one device, the biased one on several.
    kept = [w for w in kept if _compat.KERAS_3 or "moving_variance" not in w.name]
    kept += [model.keys] if method == "moco" else []
    weights = np.concatenate([w.numpy().ravel() for w in kept])
    return {f"{method}/logs": np.array(logs), f"{method}/weights": weights}


np.savez(out, **{key: value for method in methods for key, value in train(method).items()})
