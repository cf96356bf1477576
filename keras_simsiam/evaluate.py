"""Evaluates an exported encoder: ``python -m keras_simsiam.evaluate --saved-model PATH``."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from simple_parsing import flag

from keras_simsiam import options, tables
from keras_simsiam.errors import InputError, check_choice

PROBES = ("knn", "linear")


@dataclass
class Evaluation:
    """What to evaluate, and how."""

    saved_model: str
    """Folder of the SavedModel, such as saved_models/photo_patches."""
    dataset: str = "photo_patches"
    """As for training: photo_patches, tiny_imagenet, cifar10, …, tfds:NAME or folder:PATH."""
    data_dir: str | None = None
    """Where the dataset lies, as for training."""
    probe: list[str] = field(default_factory=lambda: ["knn"])
    """knn, linear, or both."""
    labels: list[float] = field(default_factory=lambda: [1.0])
    """Parts of the training labels that the probes get, such as 0.01 0.1 1; at least one image of
    each class."""
    output: str | None = None
    """Folder for evaluation.json, the confusion matrix, nearest neighbours, a map of the features
    and TensorBoard's embedding projector; nothing is written if not given."""
    seed: int = 0
    """Seed of the linear probe, and of which labels the probes get."""


@dataclass
class Knn:
    """The kNN probe (paper, Section 4.1)."""

    knn_k: int = 200
    """Neighbours that vote; capped to the number of training images."""
    knn_temperature: float = 0.1
    """Temperature of the vote: a neighbour weighs exp(cosine / temperature)."""


@dataclass
class Linear:
    """The linear probe (paper, Section 4)."""

    linear_optimizer: str = "sgd"
    """sgd, or lars, the paper's with batches of 4096; both with momentum 0.9 and cosine decay."""
    linear_epochs: int = 90
    """Epochs of its training; the rate is chosen on a tenth of the training images before."""
    linear_batch_size: int = 256
    """Images a step; all where there are fewer."""
    linear_augment: bool = flag(False, negative_prefix="--no-")
    """Train on random crops and flips, as in the paper: the encoder then runs on all images in each
    epoch, twice over, instead of once."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and evaluates; gives the exit code."""
    parser = options.Parser("evaluate", "kNN and linear accuracy of an exported encoder.")
    for group, dest in ((Evaluation, "evaluation"), (Knn, "knn"), (Linear, "linear")):
        parser.add_arguments(group, dest=dest)
    parsed = parser.parse_args(argv)
    e: Evaluation = parsed.evaluation
    _check(e, parsed.linear)

    from keras_simsiam import data
    from keras_simsiam.evaluation import report
    from keras_simsiam.export import load_encoder

    started = time.perf_counter()
    encoder, size = load_encoder(e.saved_model)
    train, test = (data.load(e.dataset, s, e.data_dir) for s in ("train", "validation"))
    if train.labels is None or test.labels is None:
        raise InputError(f"dataset '{e.dataset}' has no labels, which the probes need")
    print(
        f"{e.saved_model} on {e.dataset}, {len(train.images):,} training images, "
        f"{len(test.images):,} test images, seed {e.seed}",
        flush=True,
    )
    probes = report.Probes(
        names=tuple(name for name in PROBES if name in e.probe),
        parts=tuple(sorted(set(e.labels))),
        knn_k=parsed.knn.knn_k,
        knn_temperature=parsed.knn.knn_temperature,
        linear={
            "optimizer": parsed.linear.linear_optimizer,
            "epochs": parsed.linear.linear_epochs,
            "batch_size": parsed.linear.linear_batch_size,
        },
        augment=parsed.linear.linear_augment,
        seed=e.seed,
    )
    evaluation = report.Evaluation(encoder, size, train, test, probes)
    print(f"\n{tables.markdown(evaluation.table())}\n\n{time.perf_counter() - started:.0f} seconds")
    if e.output is not None:
        about = {"saved_model": e.saved_model, "dataset": e.dataset}
        evaluation.write(pathlib.Path(e.output), about)
        print(
            f"written to {e.output}; tensorboard --logdir {e.output}/projector shows its features"
        )
    return 0


def _check(e: Evaluation, linear: Linear) -> None:
    """Raises InputError before anything is loaded."""
    for name in e.probe:
        check_choice("probe", name, PROBES)
    for part in e.labels:
        if not 0 < part <= 1:
            raise InputError(f"labels {part} is no part of the labels, above 0 and up to 1")
    for name in ("linear_epochs", "linear_batch_size"):
        if getattr(linear, name) < 1:
            raise InputError(f"{name} {getattr(linear, name)} is not a positive number")
    check_choice("linear_optimizer", linear.linear_optimizer, ("sgd", "lars"))
    if e.output is not None and pathlib.Path(e.output).is_file():
        raise InputError(f"output '{e.output}' is a file; give a folder")


if __name__ == "__main__":
    options.run_command(main)
