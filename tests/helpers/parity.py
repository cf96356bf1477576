"""Steps on one device, on two, or in two processes: ``python parity.py MODE DTYPE OUT [METHOD]``.

MODE is none, mirrored or multi_worker (from TF_CONFIG); DTYPE is float32 or float64. The loss and
z_std of each step and the final weights are written to OUT.
"""

import sys

import keras
import numpy as np

from keras_simsiam import _compat, data, presets
from keras_simsiam.training.devices import Devices, make_strategy, share_out
from keras_simsiam.training.prepare import build_model, load_inputs

mode, dtype, out, *method = sys.argv[1:]
steps = 8 if method else 50
# Rounding grows with every step at usual learning rates, so that float32 is compared at a lower
# rate, and float64 at the usual one.
rate = 0.5 if dtype == "float64" else 0.002
keras.backend.set_floatx(dtype)
strategy = make_strategy(Devices(mode, 2 if mode == "mirrored" else 1))
queue = {"queue": 200} if method == ["moco"] else {}
model = {"width": 4, "method": (method or ["simsiam"])[0], **queue}
small = {"model": model, "training": {"epochs": 3, "learning_rate": rate}}
run = presets.preset("photo_patches").replace(**small)
object.__setattr__(run.training, "precision", dtype)
inputs = load_inputs(run)
with strategy.scope():
    model = build_model(run, inputs)
logs = []
epoch = keras.callbacks.LambdaCallback(
    on_epoch_end=lambda e, values: logs.append([values["loss"], values["z_std"]])
)


def views(part):
    return data.views(inputs.images, run.augmentation, 64, 3, 32, part=part)


model.fit(
    share_out(strategy, views),
    steps_per_epoch=1,
    epochs=steps,
    shuffle=False,
    callbacks=[epoch],
    verbose=0,
)
kept = [
    w
    for part in model.parts.values()
    for w in part.weights
    # Keras 2 keeps the unbiased variance of images on one device, the biased one on several.
    if _compat.KERAS_3 or "moving_variance" not in w.name
]
weights = np.concatenate([w.numpy().ravel() for w in kept])
np.savez(out, logs=np.array(logs), weights=weights, steps=model.steps_done)
