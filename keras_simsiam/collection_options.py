"""Options that the commands for collections of images share. Nothing here imports TensorFlow."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_simsiam import datasets, options
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Settings, setting, switch


@dataclass(frozen=True)
class Collection(Settings):
    """The images."""

    dataset: str | None = setting(
        None, help=f"The images: {', '.join(datasets.DATASETS)}. Of a folder, all images are read"
    )
    """See `keras_simsiam.datasets`."""
    files: list[str] = setting([], metavar="FILE ...")
    """Image files instead of a dataset; a .txt file lists one file per line."""
    split: str = "train"
    """Split of the dataset, unless it is a folder."""
    data_dir: str | None = None
    """Where the dataset is stored; see train --help."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.dataset is None) == (not self.files):
            raise InputError("either --dataset or --files must be given")
        if self.dataset is not None:
            datasets.find(self.dataset)

    def images(self) -> str | list[str]:
        """The dataset, or the files, those named by a text file among them."""
        if self.dataset is not None:
            return self.dataset
        found = []
        for file in self.files:
            if not file.endswith(".txt"):
                found.append(file)
                continue
            try:
                with open(file, encoding="utf-8", errors="surrogateescape") as lines:
                    found += [line for line in lines.read().splitlines() if line]
            except OSError as e:
                raise InputError(f"cannot read '{file}': {e.strerror}") from e
        return found


@dataclass(frozen=True)
class Inputs(Settings):
    """Where the images and the encoder of the features are."""

    images: str | None = None
    """The folder or dataset of the images; by default the one that embed read."""
    saved_model: str | None = None
    """The encoder that made the features; by default the one that embed used."""
    image_size: int | None = setting(None, at_least=1)
    """The same --image-size as for embed, if it had any."""
    data_dir: str | None = None
    """The same --data-dir as for embed, if it had any."""
    overwrite: bool = switch(False)
    """Replace existing files."""


def parse(
    command: str, description: str, settings: type, argv: Sequence[str] | None
) -> tuple[list[str], Any, Inputs]:
    """The files of features, the command's own settings, and the inputs, from the arguments.

    Args:
        command: Its name.
        description: What it does.
        settings: The class of its own settings.
        argv: The arguments; if None, those of the process.
    """
    parser = options.Parser(command, description)
    parser.usage = f"python -m keras_simsiam.{command} FEATURES... [options]"
    parser.add_argument(
        "features",
        metavar="FEATURES",
        nargs="+",
        help="file that embed wrote; several for shards, in their order",
    )
    parser.add_arguments(settings, dest="settings")
    parser.add_arguments(Inputs, dest="inputs")
    parsed: argparse.Namespace = parser.parse_args(argv)
    return parsed.features, parsed.settings, parsed.inputs


def check_free(overwrite: bool, *paths: str | None) -> None:
    """Raises InputError if a file that is to be written exists, unless it may be overwritten."""
    for path in paths:
        if path is not None and os.path.exists(path) and not overwrite:
            raise InputError(f"'{path}' exists; choose another, or --overwrite")


def beside(path: str, ending: str) -> str:
    """The name of a file beside another, such as x.png of x.csv."""
    return os.path.splitext(path)[0] + ending
