"""Images in files, of many sizes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from keras_simsiam.data import fingerprint
from keras_simsiam.data.decoding import decode
from keras_simsiam.data.paths import Paths
from keras_simsiam.data.reading import Unreadable
from keras_simsiam.data.separate import SeparateImages
from keras_simsiam.pixels import Pixels


@dataclass(frozen=True)
class ImageFiles(SeparateImages):
    """Image files of many sizes, each decoded when it is needed.

    Attributes:
        paths: The files, which were all readable when they were found; given as any sequence.
        unreadable: Counts those that no longer are, and the files that were left out before.
        pixels: How their values become uint8.
        stored: Where TensorFlow reads them, see `keras_simsiam.data.copies`; given as any
            sequence, by default `paths`.
    """

    paths: Paths
    unreadable: Unreadable = field(default=None, compare=False)  # type: ignore[assignment]
    pixels: Pixels = field(default_factory=Pixels)
    stored: Paths = field(default=None, compare=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", Paths.of(self.paths))
        object.__setattr__(self, "stored", self.paths if self.stored is None else self.stored)
        if self.unreadable is None:
            object.__setattr__(self, "unreadable", Unreadable(len(self.paths)))

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def channels(self) -> int:
        """Those of `pixels`."""
        return self.pixels.channels

    @functools.cached_property
    def has_arrays(self) -> bool:
        """Whether there are .npy files in `stored`, as copies of TIFF files are."""
        return bool(self.stored.ending_with((".npy",)))

    def at(self, positions: tf.Tensor) -> tf.Tensor:
        """Where they are stored."""
        return self.stored.at(positions)

    def read(self, place: tf.Tensor) -> tf.Tensor:
        """The image in a file of `stored`, uint8 ``[H, W, C]``."""
        return decode(tf.io.read_file(place), self.pixels, self.has_arrays)

    def name(self, position: int) -> str:
        """The path."""
        return self.paths[position]

    def take(self, positions: Sequence[int] | np.ndarray) -> ImageFiles:
        """Other files of the same."""
        paths, stored = (p.take(positions) for p in (self.paths, self.stored))
        return dataclasses.replace(self, paths=paths, stored=stored)

    def check_sendable(self) -> None:
        """Never raises: workers read the files themselves."""

    def fingerprint(self) -> str:
        """Of the files' names and sizes."""
        return fingerprint.of_files(self.paths)
