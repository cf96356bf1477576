"""Steps on one device, on two, or in two processes.

``python parity.py MODE DTYPE OUT STEPS METHOD…``: MODE is none, mirrored or multi_worker (from
TF_CONFIG); DTYPE is float32 or float64; METHOD is one of `config.Model.method`, or for SimSiam
"images", with a target of each image, or "keras", with Keras's own BatchNorm and two parts of each
batch. SimSiam is trained on photo_patches, the others with a network of one convolution on noise.
The loss and z_std of each step and the final weights are written to OUT, as METHOD/logs and
METHOD/weights.
"""

import sys

import keras
import numpy as np
from backbones import BACKBONES, TINY

from keras_simsiam import Augmentation, data, paper_optimizers, presets
from keras_simsiam.models.base import Length
from keras_simsiam.models.batch_norm import batch_norm, synchronize
from keras_simsiam.models.methods import method as class_of
from keras_simsiam.training.devices import Devices, make_strategy, share_out
from keras_simsiam.training.inputs import load_inputs
from keras_simsiam.training.prepare import build_model

mode, dtype, out, steps, *methods = sys.argv[1:]
# Rounding grows with every step at usual learning rates, so that float32 is compared at a lower
# rate, and float64 at the usual one.
rate = 0.5 if dtype == "float64" else 0.002
keras.backend.set_floatx(dtype)
BACKBONES.update(TINY)
strategy = make_strategy(Devices(mode, 2 if mode == "mirrored" else 1))
OPTIONS = {
    "images": {"method": "simsiam", "target": "images:0.8"},
    "keras": {"method": "simsiam"},
    "simclr": {"predictor": "mlp", "stop_gradient": True},
    "moco": {"queue": 40},
    "swav": {"predictor": "mlp", "prototypes": 12},
    "barlow_twins": {"projector_dim": 32},  # twice as many dimensions as images
}
NOISE = np.random.RandomState(0).randint(0, 256, (40, 16, 16, 3), np.uint8)


def simsiam():
    """A model, and a function from the part of each batch to the batches."""
    run = presets.preset("photo_patches")
    run = run.replace(model={"width": 4}, training={"epochs": 3, "learning_rate": rate})
    object.__setattr__(run.training, "precision", dtype)
    inputs = load_inputs(run)
    with strategy.scope():
        model = build_model(run, inputs)
    return model, lambda part: data.views(inputs.images, run.augmentation, 64, 3, 32, part=part)


def small(method):
    """The same for another method."""
    options = {"method": method, "projector_dim": 16, **OPTIONS.get(method, {})}
    small_batch = {"batch_size": 16}
    settings = presets.Run().replace(model=options, training=small_batch).model
    keras.mixed_precision.set_global_policy(dtype)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        images = keras.Input((None, None, 3))
        norm = keras.layers.BatchNormalization() if method == "keras" else batch_norm("bn")
        x = norm(keras.layers.Conv2D(8, 3, 2, name="conv")(images))
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
        length = Length(int(steps), 2, len(NOISE))
        made = class_of(settings.method).from_settings(settings, keras.Model(images, x), length)
        parts = 2 if method == "keras" else 1
        made.compile(**paper_optimizers(16, int(steps), rate), accumulate=parts)
        synchronize(made)
    numbered = method == "images"
    return made, lambda part: data.views(NOISE, Augmentation(), 16, 3, part=part, numbered=numbered)


def train(method):
    """Losses and weights by name."""
    model, views = simsiam() if method == "simsiam" else small(method)
    logs = []
    epoch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda e, values: logs.append([values["loss"], values["z_std"]])
    )
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
    kept += [model.keys] if method == "moco" else []
    weights = np.concatenate([w.numpy().ravel() for w in kept])
    return {f"{method}/logs": np.array(logs), f"{method}/weights": weights}


np.savez(out, **{key: value for method in methods for key, value in train(method).items()})
