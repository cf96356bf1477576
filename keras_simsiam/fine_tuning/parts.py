"""Images with what a classifier is learned from and tested on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
import tensorflow as tf

from keras_simsiam.collection.embedding import computed
from keras_simsiam.collection.sources import Source
from keras_simsiam.errors import InputError
from keras_simsiam.evaluation import Encoder
from keras_simsiam.evaluation.features import source_side
from keras_simsiam.evaluation.linear import part_of_each_class


class Part(NamedTuple):
    """Some labeled images, all of which can be read.

    Attributes:
        source: The images.
        truth: Class numbers, int64 ``[N]``.
        features: Of the initial network, float32 ``[N, D]``.
        pixels: The images by their side in pixels, uint8 ``[N, S, S, 3]``, where they are held in
            memory.
    """

    source: Source
    truth: np.ndarray
    features: np.ndarray
    pixels: dict[int, np.ndarray]

    @classmethod
    def of(cls, encoder: Encoder, source: Source, truth: np.ndarray) -> Self:
        """Those of the images that can be read."""
        source = source.seen_by(encoder.preprocessing)
        found = [*computed(encoder, source, 0, len(source))]
        if not found:
            raise InputError(f"none of the images can be read, such as {source.names[0]}")
        rows = np.concatenate([positions for positions, _ in found])
        if len(rows) < len(source):
            source, truth = source.only([source.names[i] for i in rows]), truth[rows]
        return cls(source, truth, np.concatenate([values for _, values in found]), {})

    def seen_by(self, encoder: Encoder) -> Self:
        """The same images with the features of another network."""
        return self._replace(features=self.of(encoder, self.source, self.truth).features)

    def in_memory(self, *sides: int) -> Self:
        """The same with the images in memory, for training on them."""
        pixels = {
            side: np.concatenate([i.numpy() for _, i in self.source.read(side, 0, len(self.truth))])
            for side in {*sides}
        }
        return self._replace(pixels=pixels)

    def rows(self, rows: np.ndarray) -> Self:
        """Some of them."""
        source = self.source.only([self.source.names[i] for i in rows])
        pixels = {side: images[rows] for side, images in self.pixels.items()}
        return self._replace(
            source=source, truth=self.truth[rows], features=self.features[rows], pixels=pixels
        )

    def share(self, share: float, seed: int) -> Self:
        """A random share of each class, at least one image of each."""
        return self if share == 1 else self.rows(part_of_each_class(self.truth, share, seed))

    def crop_side(self, size: int) -> int:
        """The side in pixels of the images of which crops of `size` pixels are taken."""
        return self.source.images.side(default=source_side(size))

    def batches(self, size: int, batch: int = 256) -> Iterator[np.ndarray | tf.Tensor]:
        """Batches of the images in order, uint8 ``[B, size, size, 3]``."""
        if size in self.pixels:
            for i in range(0, len(self.truth), batch):
                yield self.pixels[size][i : i + batch]
        else:
            yield from (images for _, images in self.source.read(size, 0, len(self.truth)))
