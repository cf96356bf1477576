"""Settings to start from, by name: those of each method's paper, and what suits a CPU."""

from __future__ import annotations

from typing import NamedTuple

from keras_simsiam import datasets
from keras_simsiam.augmentation import AUGMENTATIONS
from keras_simsiam.config import Run
from keras_simsiam.errors import check_choice

_SIMCLR_VIEWS = {
    "crop_area": (0.08, 1.0),
    "brightness": 0.8,
    "contrast": 0.8,
    "saturation": 0.8,
    "hue": 0.2,
}
_BYOL_VIEWS = {  # Table 6 of the paper
    "crop_area": (0.08, 1.0),
    "saturation": 0.2,
    "blur_probability": 1.0,
    "second_blur_probability": 0.1,
    "second_solarize_probability": 0.2,
}
_SMALL_Z = {"projector_layers": 2, "projector_dim": 128}
_LARGE_Z = {"projector_hidden": 8192, "projector_dim": 8192, "batch_norm": "hidden"}
_LARS = {"optimizer": "lars", "batch_size": 4096, "warmup_epochs": 10}

PRESETS: dict[str, dict] = {
    # Trains in minutes on two CPU cores.
    "photo_patches": {
        "augmentation": AUGMENTATIONS["cifar"],
        "model": {"width": 16, "projector_layers": 2, "projector_dim": 512},
        "training": {"epochs": 20, "batch_size": 64, "learning_rate": 0.5},
    },
    # The report's data with the paper's settings.
    "tiny_imagenet": {"training": {"epochs": 50}},
    # The report as it was run: the paper's network and augmentation, with four departures in its
    # code, which are the lines of "symmetry" and "training" but the epochs.
    "report": {
        "data": {"dataset": "tiny_imagenet", "image_size": 224},
        "model": {"backbone": "resnet50", "symmetry": "asymmetric"},
        "training": {
            "epochs": 50,
            "batch_size": 16,
            "zero_gradients": False,
            "optimizer": "adam",
            "learning_rate": 4e-4 * 256 / 16,
            "schedule": "constant",
            "weight_decay": 0.0,
        },
    },
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
    # The other methods as their authors trained them on ImageNet, with these differences: SwAV has
    # no small views without --small-views 6, and LARS adapts and decays the weights of BatchNorm
    # and biases, too.
    "simclr": {
        "augmentation": _SIMCLR_VIEWS,
        "model": {"method": "simclr", "backbone": "resnet50", **_SMALL_Z},
        "training": {"epochs": 1000, "learning_rate": 0.3, "weight_decay": 1e-6, **_LARS},
    },
    "moco": {  # version 2
        "model": {"method": "moco", "backbone": "resnet50", "batch_norm": "none", **_SMALL_Z},
        "training": {"epochs": 800, "learning_rate": 0.03},
    },
    "byol": {
        "augmentation": _BYOL_VIEWS,
        "model": {
            "method": "byol",
            "backbone": "resnet50",
            "projector_layers": 2,
            "projector_hidden": 4096,
            "projector_dim": 256,
            "predictor_hidden": 4096,
            "batch_norm": "hidden",
        },
        "training": {
            "epochs": 1000,
            "learning_rate": 0.2,
            "weight_decay": 1.5e-6,
            "predictor_decay": True,
            **_LARS,
        },
    },
    "swav": {
        "augmentation": _SIMCLR_VIEWS | {"crop_area": (0.14, 1.0)},
        "model": {"method": "swav", "backbone": "resnet50", "batch_norm": "hidden", **_SMALL_Z},
        "training": {"epochs": 800, "learning_rate": 0.3, "weight_decay": 1e-6, **_LARS},
    },
    "barlow_twins": {
        "augmentation": _BYOL_VIEWS,
        "model": {"method": "barlow_twins", "backbone": "resnet50", **_LARGE_Z},
        "training": {
            "epochs": 1000,
            "learning_rate": 0.2,
            "weight_decay": 1.5e-6,
            **_LARS,
            "batch_size": 2048,
        },
    },
    "vicreg": {
        "augmentation": _BYOL_VIEWS,
        "model": {"method": "vicreg", "backbone": "resnet50", **_LARGE_Z},
        "training": {
            "epochs": 1000,
            "learning_rate": 0.2,
            "weight_decay": 1e-6,
            **_LARS,
            "batch_size": 2048,
        },
    },
}
"""Settings by name. Those that a preset leaves out have the defaults of `Run`."""

CHANGES: dict[str, dict[str, dict]] = {
    # Rates and temperatures from `tune methods`. The queue is to hold most of the images once, at
    # most; the momentum networks are to follow within hundreds of steps, and the prototypes to be
    # fewer than the images.
    "photo_patches": {
        "byol": {"model": {"target": "cosine:0.99"}, "training": {"learning_rate": 2.0}},
        "simclr": {"model": {"temperature": 0.2}, "training": {"learning_rate": 0.125}},
        "moco": {"model": {"queue": 4096, "target": "momentum:0.99"}},
        "swav": {
            "model": {"prototypes": 512, "temperature": 0.2},
            "training": {"learning_rate": 0.125},
        },
        "barlow_twins": {"training": {"learning_rate": 0.0625}},
        "vicreg": {"training": {"learning_rate": 0.03125}},
    },
    # At other methods' rates Barlow Twins' z, of 2,048 dimensions, collapses.
    "tiny_imagenet": {
        "moco": {"model": {"queue": 16384}},
        "barlow_twins": {"training": {"learning_rate": 0.0005}},
        "vicreg": {"training": {"learning_rate": 0.004}},
    },
    # lightly's benchmark on CIFAR-10: 0.06 for a batch of 128.
    "cifar": {
        "byol": {"training": {"learning_rate": 0.12}},
        "simclr": {"training": {"learning_rate": 0.12}},
        "moco": {"training": {"learning_rate": 0.12}, "model": {"queue": 4096}},
        "swav": {"training": {"learning_rate": 0.12}},
        "barlow_twins": {"training": {"learning_rate": 0.12}},
        "vicreg": {"training": {"learning_rate": 0.12}},
    },
}
"""What another method changes in a preset, by preset and method: ``--method`` does so, too."""


class Fitted(NamedTuple):
    """Settings that fit a user's own images."""

    run: Run
    """The settings."""
    reason: str
    """Why they are what they are, in a line."""


_AS_IMAGENET = 1_000_000  # images
_STEPS = {"CPU": 2700, "GPU": 20_000}
_EPOCHS = (10, 200)  # at least, and at most
_LARGEST = {"CPU": (64, 64), "GPU": (256, 224)}  # batch, and side of views in pixels


def fitted(images: int, side: int, gpu: bool, method: str | None = None) -> Fitted:
    """Settings that fit a user's own images, and what trains on them.

    ImageNet's are only for as many images and a GPU. Otherwise an epoch has at least eight steps,
    and there are as many epochs as make thousands of steps. A CPU trains a narrow network on small
    views.

    Args:
        images: How many there are.
        side: The shorter side of a typical one in pixels.
        gpu: Whether there is a GPU.
        method: The method to train; if None, SimSiam.
    """
    device = "GPU" if gpu else "CPU"
    of = f"{images:,} images of about {side} pixels and a {device}"
    if gpu and images >= _AS_IMAGENET:
        run = preset("imagenet", method).replace(data={"image_size": min(side, 224)})
        return Fitted(run, f"{of}: ImageNet's recipe, as there are a million images and a GPU")
    most, largest = _LARGEST[device]
    # A power of two, which devices share evenly.
    batch = max(2, min(most, 1 << max(images // 8, 1).bit_length() - 1))
    least, longest = _EPOCHS
    epochs = min(max(-(-_STEPS[device] // max(images // batch, 1)), least), longest)
    size = max(8, min(side, largest))
    run = preset("photo_patches", method).replace(
        data={"image_size": size},
        training={"batch_size": batch, "epochs": epochs},
        **({"model": {"width": 64}} if gpu else {}),
        **({"augmentation": {"blur_probability": 0.5}} if size > 64 else {}),
    )
    queue = run.model.queue
    if queue is not None:  # most of the images once, at most
        run = run.replace(model={"queue": max(2 * batch, min(queue, images // 2))})
    network = "a network" if gpu else "a narrow network and small views"
    return Fitted(
        run,
        f"{of}: {network}, batches of at most an eighth of the images, and epochs for about "
        f"{_STEPS[device]:,} steps, from {least} to {longest}",
    )


def default_preset(dataset: str) -> str:
    """The name of the preset for a dataset."""
    return datasets.find(dataset)[0].preset


def preset(name: str, method: str | None = None) -> Run:
    """The run of a preset.

    Args:
        name: A key of `PRESETS`.
        method: The method to train; if None, that of the preset.

    Raises:
        InputError: If there is no such preset or method.
    """
    check_choice("preset", name, PRESETS)
    run = Run().replace(**PRESETS[name])
    if method is None:
        return run
    run = run.replace(model={"method": method})
    return run.replace(**CHANGES.get(name, {}).get(method, {}))
