"""The sweeps that come with the package, in the language of `keras_simsiam.tuning.space`."""

from __future__ import annotations

import pathlib

from keras_simsiam.config import read_yaml
from keras_simsiam.errors import InputError

PREDICTOR = {
    "predictor": {
        "choices": {
            "rate not decayed": {},
            "rate decayed": {"training.predictor_decay": True},
            "fixed random": {"model.predictor": "fixed"},
            "none": {"model.predictor": "none"},
            "other size": {},
        },
        "paper": {
            "rate not decayed": "68.1",
            "rate decayed": "67.7",
            "fixed random": "1.5",
            "none": "0.1",
        },
    },
    "model.predictor_hidden": {
        "choices": [64, 128, 256, 512, 1024, 2048],
        "when": {"predictor": ["other size"]},
    },
    "model.predictor_layers": {"choices": [2, 3], "when": {"predictor": ["other size"]}},
}

BATCH_SIZE = {
    "training.batch_size": {
        "choices": [16, 32, 64, 128, 256, 512, 1024],
        "paper": {64: "66.1", 128: "67.3", 256: "68.1", 512: "68.1", 1024: "68.0"},
    },
    # As in the paper, the largest batch warms up.
    "training.warmup_epochs": {"choices": [1], "when": {"training.batch_size": [1024]}},
}

OPTIMIZER = {
    "training.learning_rate": {"min": 0.01, "max": 1.0, "log": True},
    "training.weight_decay": {"min": 1e-5, "max": 1e-3, "log": True},
    "training.momentum": {"min": 0.8, "max": 0.99},
    "training.warmup_epochs": [0, 1, 2],
}

AUGMENTATION = {
    "augmentation.crop_area": [[0.08, 1.0], [0.2, 1.0], [0.4, 1.0], [0.8, 1.0]],
    "jitter strength": {
        "choices": {
            strength: {
                **{
                    f"augmentation.{name}": round(0.4 * strength, 3)
                    for name in ("brightness", "contrast", "saturation")
                },
                "augmentation.hue": round(0.1 * strength, 3),
            }
            for strength in (0.0, 0.5, 1.0, 2.0)
        }
    },
    "augmentation.blur_probability": [0.0, 0.5],
    "augmentation.grayscale_probability": [0.0, 0.2, 0.5],
}

SWEEPS = {
    "predictor": PREDICTOR,
    "batch_size": BATCH_SIZE,
    "optimizer": OPTIMIZER,
    "augmentation": AUGMENTATION,
    # The optimiser's warm-up holds for all batches here.
    "full": {**PREDICTOR, **BATCH_SIZE, **AUGMENTATION, **OPTIMIZER},
}
"""By name: the predictor (paper, Table 1), the batch size (Table 2), and so on."""


def find(name: str) -> dict:
    """The sweep of that name, or in the YAML file of that name.

    Raises:
        InputError: If there is none.
    """
    if name in SWEEPS:
        return SWEEPS[name]
    if pathlib.Path(name).suffix in (".yaml", ".yml"):
        return read_yaml(name)
    raise InputError(
        f"unknown sweep '{name}'; sweeps are {', '.join(SWEEPS)}, or a YAML file of your own"
    )
