"""Images with what a classifier is learned from and tested on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
import tensorflow as tf

from keras_simsiam.collection.embedding import computed
from keras_simsiam.collection.sources import Source
from keras_simsiam.evaluation import Encoder
from keras_simsiam.evaluation.linear import part_of_each_class


class Part(NamedTuple):
    """Some labeled images, all of which can be read.

    Attributes:
        source: The images.
        truth: Class numbers, int64 ``[N]``.
        features: Of the initial network, float32 ``[N, D]``.
        pixels: Images by their side in pixels, uint8 ``[M, S, S, C]``, where they are held in
            memory.
        places: Where in `pixels` the images are, int64 ``[N]``.
    """

    source: Source
    truth: np.ndarray
    features: np.ndarray
    pixels: dict[int, np.ndarray]
    places: np.ndarray

    @classmethod
    def of(cls, encoder: Encoder, source: Source, truth: np.ndarray) -> Self:
        """Those of the images that can be read."""
        found = [*computed(encoder, source, 0, len(source))]
        if not found:
            raise source.none_read()
        rows = np.concatenate([positions for positions, _ in found])
        if len(rows) < len(source):
            source, truth = source.only([source.names[i] for i in rows]), truth[rows]
        features = np.concatenate([values for _, values in found])
        return cls(source, truth, features, {}, np.arange(len(source)))

    def seen_by(self, encoder: Encoder) -> Self:
        """The same images with the features of another network."""
        return self._replace(features=self.of(encoder, self.source, self.truth).features)

    def in_memory(self, *sides: int) -> Self:
        """The same with the images in memory, for training on them."""
        channels = self.source.images.channels
        pixels = {
            side: np.zeros([len(self.truth), side, side, channels], np.uint8) for side in sides
        }
        for side, images in pixels.items():
            for positions, some in self.source.read(side, 0, len(self.truth)):
                images[positions] = some
        return self._replace(pixels=pixels)

    def rows(self, rows: np.ndarray) -> Self:
        """Some of them."""
        source = self.source.only([self.source.names[i] for i in rows])
        return self._replace(
            source=source,
            truth=self.truth[rows],
            features=self.features[rows],
            places=self.places[rows],
        )

    def share(self, share: float, seed: int) -> Self:
        """A random share of each class, at least one image of each."""
        return self if share == 1 else self.rows(part_of_each_class(self.truth, share, seed))

    def batches(self, size: int, batch: int = 256) -> Iterator[np.ndarray | tf.Tensor]:
        """Batches of the images in order, uint8 ``[B, size, size, C]``."""
        if size in self.pixels:
            for i in range(0, len(self.truth), batch):
                yield self.pixels[size][self.places[i : i + batch]]
        else:
            yield from (images for _, images in self.source.read(size, 0, len(self.truth)))
