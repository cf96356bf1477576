"""Which augmentations suit which kind of image: photographs, pictures without a top, and digits.

The kinds are patches of scikit-image's pictures (`photo_patches`), those of its textures, planets
and microscopes, which look alike however they are turned, and scikit-learn's digits, which do not.
Each kind is trained for about as many steps.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

import keras_simsiam as ks
from experiments import common, transfer
from keras_simsiam import options
from keras_simsiam.data import Dataset
from keras_simsiam.tuning import results

WITHOUT_TOP = (
    *("brick", "cell", "coins", "grass", "gravel", "hubble_deep_field"),
    *("immunohistochemistry", "moon", "retina"),
)
"""Classes of `photo_patches` whose pictures have no top."""

VIEWS = {
    "defaults": {},
    "vertical flips": {"augmentation.vertical_flip_probability": 0.5},
    "vertical flips and turns": {
        "augmentation.vertical_flip_probability": 0.5,
        "augmentation.turn_probability": 0.75,
    },
    "hue kept": {"augmentation.hue": 0.0},
    "no flips, crops from 50%": {
        "augmentation.flip_probability": 0.0,
        "augmentation.crop_area": [0.5, 1.0],
    },
    "solarized": {"augmentation.solarize_probability": 0.2},
    "parts erased": {"augmentation.erase_probability": 0.25},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Trains what is left to train, and writes a table and a figure for each kind."""
    parser = common.parser(__doc__)
    parser.set_defaults(seeds=[0, 1])
    args = parser.parse_args(argv)
    kinds = {
        "photographs": {},
        "without a top": {"data.dataset": written("without_top", without_top), **_epochs(16)},
        "digits": {"data.dataset": written("digits", transfer.digits), **_epochs(32)},
    }
    for kind, changes in kinds.items():
        spec = {"kind": {"choices": {kind: changes}}, "views": {"choices": VIEWS}}
        name = f"augmentations_{kind.replace(' ', '_')}"
        title = f"Which augmentations suit which kind of image: {kind}."
        common.run(name, title, args, figure=_figure(kind), spec=spec)
    return 0


def _figure(kind: str) -> common.Figure:
    return lambda found, path, title: results.draw(found, path, f"{kind}: {title}")


def _epochs(epochs: int) -> dict[str, int]:
    return {"training.epochs": epochs, "evaluation.knn_every": epochs // 4}


def without_top() -> tuple[Dataset, Dataset]:
    """The patches of `WITHOUT_TOP`."""
    train, test = (
        _of_classes(ks.load("photo_patches", split), WITHOUT_TOP) for split in ("train", "test")
    )
    return train, test


def _of_classes(dataset: Dataset, names: Sequence[str]) -> Dataset:
    rows = np.isin(np.array(dataset.class_names)[dataset.labels], names)
    return Dataset(dataset.images[rows], dataset.labels[rows], dataset.class_names)


def written(name: str, load: Callable[[], tuple[Dataset, Dataset]]) -> str:
    """The name of a dataset as a folder, which is written if it is not there."""
    folder = common.RUNS / "images" / name
    if not folder.exists():
        partial = folder.with_name(f"{name}.partial")
        for split, dataset in zip(("train", "val"), load(), strict=True):
            _write(dataset, partial / split)
        partial.rename(folder)
    return f"folder:{folder}"


def _write(dataset: Dataset, folder: pathlib.Path) -> None:
    for i, (image, label) in enumerate(zip(dataset.images, dataset.labels, strict=True)):
        path = folder / dataset.class_names[label] / f"{i:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


if __name__ == "__main__":
    options.run_command(main)
