"""Images in files, of many sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import tensorflow as tf

from keras_simsiam.data import fingerprint
from keras_simsiam.data.decoding import decode
from keras_simsiam.data.paths import Paths
from keras_simsiam.data.reading import Unreadable
from keras_simsiam.data.separate import SeparateImages


@dataclass(frozen=True)
class ImageFiles(SeparateImages):
    """Image files of many sizes, each decoded when it is needed.

    Attributes:
        paths: The files, which were all readable when they were found; given as any sequence.
        unreadable: Counts those that no longer are, and the files that were left out before.
    """

    paths: Paths
    unreadable: Unreadable = field(default=None, compare=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", Paths.of(self.paths))
        if self.unreadable is None:
            object.__setattr__(self, "unreadable", Unreadable(len(self.paths)))

    def __len__(self) -> int:
        return len(self.paths)

    @staticmethod
    def decode(path: tf.Tensor) -> tf.Tensor:
        """The image in a file, uint8 ``[H, W, 3]``."""
        return decode(tf.io.read_file(path))

    def at(self, positions: tf.Tensor) -> tf.Tensor:
        """Their paths."""
        return self.paths.at(positions)

    def read(self, place: tf.Tensor) -> tf.Tensor:
        """The image in a file."""
        return self.decode(place)

    def name(self, position: int) -> str:
        """The path."""
        return self.paths[position]

    def take(self, positions: Sequence[int]) -> ImageFiles:
        """Other files of the same."""
        return ImageFiles(self.paths.take(positions), self.unreadable)

    def check_sendable(self) -> None:
        """Never raises: workers read the files themselves."""

    def fingerprint(self) -> str:
        """Of the files' names and sizes."""
        return fingerprint.of_files(self.paths)
