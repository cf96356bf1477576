"""The ablations of the paper and the sweeps of `tune`, in the language of `tuning.parameter`.

Each is one entry: a mapping from parameters to their values, or a function that makes one from the
run that the sweep changes, where values depend on its epochs or its dataset. The paper's figures,
linear accuracy of ResNet-50 on ImageNet, stand in the entries and nowhere else.

Nothing here imports TensorFlow.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping

from keras_simsiam.config import Run
from keras_simsiam.documents import read_yaml
from keras_simsiam.errors import InputError
from keras_simsiam.tuning import method_sweeps

Sweep = dict | Callable[[Run], dict]

FLOOR_BATCHES = (16, 32, 64, 128, 256)
"""Batch sizes at which `collapse_floor` measures where a collapsed loss ends."""

FLOOR_STEPS = 600
"""Steps of each of its runs."""

FLOOR_RATE = 0.125
"""Learning rate of each of its runs, at every batch size."""


def count_images(run: Run) -> int:
    """The number of images that a run trains on. Reading them takes TensorFlow."""
    from keras_simsiam import data

    return len(data.load(run.data.dataset, "train", run.data.data_dir).images)


def batch_size(run: Run) -> dict:
    """Table 2; the largest batch warms up for a tenth of the training."""
    return {
        "training.batch_size": {
            "choices": [16, 32, 64, 128, 256, 512, 1024],
            "paper": {64: "66.1", 128: "67.3", 256: "68.1", 512: "68.1", 1024: "68.0"},
        },
        "training.warmup_epochs": {
            "choices": [max(1, run.training.epochs // 10)],
            "when": {"training.batch_size": [1024]},
        },
    }


def epochs(run: Run) -> dict:
    """Table 4: an eighth, a quarter and a half of the run's epochs, and all of them."""
    return {
        "training.epochs": {
            "choices": [run.training.epochs // part for part in (8, 4, 2, 1)],
            "paper": {100: "68.1", 200: "70.0", 400: "70.8", 800: "71.3"},
        }
    }


def collapse_floor(run: Run) -> dict:
    """Why the report's collapsed loss ended at -0.87 and the paper's at -1.

    Without the stop-gradient, for the same number of steps at the same learning rate: first over
    the batch size, then with the report's departures from the paper, one at a time and together.
    """
    images = count_images(run)

    def settings(batch: int, rate: float = FLOOR_RATE) -> dict:
        return {
            "model.stop_gradient": False,
            "training.batch_size": batch,
            "training.epochs": max(1, round(FLOOR_STEPS / max(1, images // batch))),
            "training.learning_rate": rate * 256 / batch,
            "evaluation.knn_every": 0,
        }

    def adam(batch: int) -> dict:
        constant = {"training.optimizer": "adam", "training.schedule": "constant"}
        return {**settings(batch, 4e-4), **constant, "training.weight_decay": 0.0}

    summed = {"training.zero_gradients": False}
    once = {"model.symmetry": "asymmetric"}
    return {
        "variant": {
            "choices": {
                **{f"batch {batch}": settings(batch) for batch in FLOOR_BATCHES},
                "gradients never zeroed": {**settings(64), **summed},
                "D(p1, z2) twice": {**settings(64), **once},
                "Adam 4e-4": adam(64),
                "all four": {**adam(16), **summed, **once},
            }
        }
    }


PREDICTOR: dict = {
    "predictor": {
        "choices": {
            "rate not decayed": {},
            "rate decayed": {"training.predictor_decay": True},
            "fixed random": {"model.predictor": "fixed"},
            "none": {"model.predictor": "none"},
        },
        "paper": {
            "rate not decayed": "68.1",
            "rate decayed": "67.7",
            "fixed random": "1.5",
            "none": "0.1",
        },
    }
}

ABLATIONS: dict[str, Sweep] = {
    # Table 1
    "predictor": PREDICTOR,
    # Table 2
    "batch_size": batch_size,
    # Table 3
    "batch_norm": {
        "batch_norm": {
            "choices": {
                "hidden and projector output": {},
                "hidden layers only": {"model.batch_norm": "hidden"},
                "all, predictor output too": {"model.batch_norm": "all"},
                # The paper warms up this row, and no other.
                "none": {"model.batch_norm": "none", "training.warmup_epochs": 1},
            },
            "paper": {
                "hidden and projector output": "68.1",
                "hidden layers only": "67.4",
                "all, predictor output too": "unstable",
                "none": "34.6",
            },
        }
    },
    # Table 4
    "epochs": epochs,
    # Section 4.5
    "similarity": {
        "model.similarity": {
            "choices": ["cosine", "cross_entropy"],
            "paper": {"cosine": "68.1", "cross_entropy": "63.2"},
        }
    },
    # Section 4.6
    "symmetry": {
        "model.symmetry": {
            "choices": ["symmetric", "asymmetric", "two_pairs"],
            "paper": {"symmetric": "68.1", "asymmetric": "64.8", "two_pairs": "67.3"},
        }
    },
    # FastSiam; SwAV's Section 3.2 with its crops
    "views": {
        "views": {
            "choices": {
                "two": {},
                "four, FastSiam": {"model.symmetry": "fastsiam", "model.views": 4},
                "two and six small, multi-crop": {
                    "model.small_views": 6,
                    "augmentation.crop_area": [0.14, 1.0],
                },
            }
        }
    },
    # Figure 2
    "stop_gradient": {
        "stop_gradient": {
            "choices": {
                "with stop-gradient": {},
                "without stop-gradient": {"model.stop_gradient": False},
            },
            "paper": {"with stop-gradient": "67.7", "without stop-gradient": "0.1"},
        }
    },
    "collapse_floor": collapse_floor,
    # Table 4, Section 6.2, Section 5.2, Appendix B
    "methods": method_sweeps.methods,
    "relations": method_sweeps.relations,
    "targets": lambda run: method_sweeps.targets(count_images(run) // run.training.batch_size),
    "dimension": method_sweeps.DIMENSION,
}
"""The paper's ablations by name, which the modules of `experiments` run over several seeds."""

PREDICTOR_SIZES: dict = {
    "predictor": {
        **PREDICTOR["predictor"],
        "choices": {**PREDICTOR["predictor"]["choices"], "other size": {}},
    },
    "model.predictor_hidden": {
        "choices": [64, 128, 256, 512, 1024, 2048],
        "when": {"predictor": ["other size"]},
    },
    "model.predictor_layers": {"choices": [2, 3], "when": {"predictor": ["other size"]}},
}

OPTIMIZER: dict = {
    "training.learning_rate": {"min": 0.01, "max": 1.0, "log": True},
    "training.weight_decay": {"min": 1e-5, "max": 1e-3, "log": True},
    "training.momentum": {"min": 0.8, "max": 0.99},
    "training.warmup_epochs": [0, 1, 2],
}

AUGMENTATION: dict = {
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

SWEEPS: dict[str, Sweep] = {
    **ABLATIONS,
    "predictor": PREDICTOR_SIZES,
    "methods": method_sweeps.search,
    "optimizer": OPTIMIZER,
    "augmentation": AUGMENTATION,
    # Here the optimizer's warm-up holds for every batch size.
    "full": lambda run: {**PREDICTOR_SIZES, **batch_size(run), **AUGMENTATION, **OPTIMIZER},
}
"""What `tune` offers by name: the ablations, `predictor` with other sizes too, and searches, of
which `methods` takes the place of the comparison."""


def find(name: str, run: Run, known: Mapping[str, Sweep] = SWEEPS) -> dict:
    """A sweep as a mapping from parameters to their values.

    Args:
        name: A key of `known`, or the path of a YAML file.
        run: The run that the sweep changes.
        known: `SWEEPS` or `ABLATIONS`.

    Raises:
        InputError: If there is no such sweep.
    """
    if name in known:
        sweep = known[name]
        return sweep if isinstance(sweep, dict) else sweep(run)
    if pathlib.Path(name).suffix in (".yaml", ".yml"):
        return read_yaml(name)
    raise InputError(f"sweep must be one of {', '.join(known)}, or a YAML file; got '{name}'")
