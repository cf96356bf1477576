"""Settings to start from, by name: the paper's, the report's, and what suits a CPU."""

from __future__ import annotations

from keras_simsiam import datasets
from keras_simsiam.config import AUGMENTATIONS, Run
from keras_simsiam.errors import check_choice

PRESETS: dict[str, dict] = {
    # Trains in minutes on two CPU cores.
    "photo_patches": {
        "augmentation": AUGMENTATIONS["cifar"],
        "model": {"width": 16, "projector_layers": 2, "projector_dim": 512},
        "training": {"epochs": 20, "batch_size": 64, "learning_rate": 0.5},
    },
    # The report's data with the paper's settings.
    "tiny_imagenet": {"training": {"epochs": 50}},
    # The paper's Appendix D.
    "cifar": {
        "augmentation": AUGMENTATIONS["cifar"],
        "model": {"stem": "cifar", "projector_layers": 2},
        "training": {
            "epochs": 800,
            "batch_size": 512,
            "learning_rate": 0.03,
            "weight_decay": 5e-4,
        },
    },
    # The paper's Section 4.
    "imagenet": {"model": {"backbone": "resnet50"}, "training": {"batch_size": 512}},
}
"""Settings by name. What a preset leaves out keeps the defaults of `Run`."""


def default_preset(dataset: str) -> str:
    """The name of the preset for a dataset."""
    return datasets.find(dataset)[0].preset


def preset(name: str) -> Run:
    """The run of a preset.

    Raises:
        InputError: If there is no such preset.
    """
    check_choice("preset", name, PRESETS)
    return Run().replace(**PRESETS[name])
