"""Evaluates an exported encoder: ``python -m keras_simsiam.evaluate --saved-model PATH``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras_simsiam import options
from keras_simsiam.errors import InputError


@dataclass
class Evaluation:
    """What to evaluate, and how."""

    saved_model: str
    """Folder of the SavedModel, such as saved_models/photo_patches."""
    dataset: str = "photo_patches"
    """As for training: photo_patches, tiny_imagenet, cifar10, …, tfds:NAME or folder:PATH."""
    data_dir: str | None = None
    """Where the dataset lies, as for training."""
    knn_k: int = 200
    """Neighbours that vote; capped to the number of training images."""
    knn_temperature: float = 0.1
    """Temperature of the vote: a neighbour weighs exp(cosine / temperature)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and evaluates; gives the exit code."""
    parser = options.Parser("evaluate", "kNN accuracy of an exported encoder.")
    parser.add_arguments(Evaluation, dest="evaluation")
    e: Evaluation = parser.parse_args(argv).evaluation

    from keras_simsiam import data
    from keras_simsiam.evaluation import extract, knn_accuracy
    from keras_simsiam.export import load_encoder

    encoder, size = load_encoder(e.saved_model)
    bank, queries = (data.load(e.dataset, s, e.data_dir) for s in ("train", "validation"))
    if bank.labels is None or queries.labels is None:
        raise InputError(f"dataset '{e.dataset}' has no labels, which kNN needs")
    accuracy = knn_accuracy(
        extract(encoder, bank.images, size),
        bank.labels,
        extract(encoder, queries.images, size),
        queries.labels,
        e.knn_k,
        e.knn_temperature,
    )
    print(
        f"{e.saved_model} on {e.dataset}, {len(bank.images):,} training images, "
        f"{len(queries.images):,} test images\n"
        f"kNN top-1  {accuracy.top1:.2%}\n"
        f"kNN top-5  {accuracy.top5:.2%}"
    )
    return 0


if __name__ == "__main__":
    options.run_command(main)
