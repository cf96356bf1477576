"""The table of datasets. Nothing here imports TensorFlow."""

from __future__ import annotations

from typing import NamedTuple

from keras_simsiam.errors import InputError


class Source(NamedTuple):
    """Where a dataset comes from.

    Attributes:
        module: The module of `keras_simsiam.data` whose ``read(argument, split, data_dir)`` reads
            it.
        preset: Name of the preset that suits it.
        pretraining: Name of the split to train on without labels.
        from_files: Whether its ``read`` also takes ``check_files`` and ``pixels``, see
            `data.load`.
    """

    module: str
    preset: str = "imagenet"
    pretraining: str = "train"
    from_files: bool = False


DATASETS = {
    "photo_patches": Source("photo_patches", preset="photo_patches"),
    "tiny_imagenet": Source("tiny_imagenet", preset="tiny_imagenet"),
    "cifar10": Source("tfds_source", preset="cifar"),
    "cifar100": Source("tfds_source", preset="cifar"),
    "stl10": Source("tfds_source", pretraining="unlabelled"),
    "imagenette": Source("tfds_source"),
    "tfds:NAME": Source("tfds_source"),
    "folder:PATH": Source("folder", from_files=True),
    "records:PATH": Source("records", from_files=True),
}
"""Sources by name. NAME and PATH stand for what the user gives."""


def find(dataset: str) -> tuple[Source, str]:
    """The source of a dataset, and the argument for the ``read`` of its module.

    Args:
        dataset: A name in `DATASETS`, with a name or path of the user's own after "tfds:",
            "folder:" or "records:".

    Returns:
        The source, and what follows the colon, or the name if there is none.

    Raises:
        InputError: If there is no such dataset.
    """
    kind, colon, argument = dataset.partition(":")
    for name, source in DATASETS.items():
        named, takes_argument, _ = name.partition(":")
        if named == kind and bool(takes_argument) == bool(colon and argument):
            return source, argument or kind
    raise InputError(f"dataset must be one of {', '.join(DATASETS)}; got '{dataset}'")
