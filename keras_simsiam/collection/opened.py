"""Features together with the images that they are of and the encoder that made them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_simsiam.collection.embedding import computed
from keras_simsiam.collection.encoders import find_encoder, probe
from keras_simsiam.collection.features import Features
from keras_simsiam.collection.sources import Source, find_source
from keras_simsiam.collection_options import Inputs
from keras_simsiam.errors import InputError
from keras_simsiam.evaluation import Encoder

SHOWN_SIDE = 96
"""Side in pixels at which images are drawn."""


@dataclass(frozen=True, eq=False)
class Opened:
    """Features and what they were made of.

    Attributes:
        features: The features.
        inputs: Where the rest is.
    """

    features: Features
    inputs: Inputs

    @classmethod
    def of(cls, paths: Sequence[str], inputs: Inputs) -> Opened:
        """Reads files of features.

        Raises:
            InputError: See `Features.read`.
        """
        return cls(Features.read(*paths), inputs)

    def source(self, names: Sequence[str] | None = None) -> Source:
        """The images.

        Args:
            names: Those wanted, in order; if None, those of the features.

        Raises:
            InputError: If they are not all there.
        """
        names = names or self.features.names
        place = self.inputs.images or self.features.origin.images
        if not place:  # the names are those of files
            return find_source(list(names))
        split = names[0].partition("/")[0]  # of a dataset that is no folder
        return find_source(place, split, self.inputs.data_dir).only(names)

    def encoder(self, source: Source) -> Encoder:
        """The encoder.

        Args:
            source: The images.

        Raises:
            InputError: If it is not known, or the features are of another.
        """
        name = self.inputs.saved_model or self.features.origin.encoder
        if not name:
            raise InputError("--saved-model must be given, because the features do not say it")
        encoder = find_encoder(name, self.inputs.image_size, source.images.channels)
        check_model(self.features, encoder, name)
        return encoder


def check_model(features: Features, encoder: Encoder, name: str = "the encoder") -> None:
    """Raises InputError if features are of another model than an encoder."""
    made = probe(encoder)
    if len(made) != features.values.shape[1] or not features.origin.is_of(made):
        raise InputError(
            f"the features must be those of '{name}', which has {len(made):,} dimensions; "
            f"they are {features.values.shape[1]:,} of another model"
        )


def baseline_features(name: str, source: Source) -> np.ndarray:
    """Features of a baseline of `find_encoder` for images that can all be read, ``[N, D]``."""
    encoder = find_encoder(name, channels=source.images.channels)
    found = [values for _, values in computed(encoder, source, 0, len(source))]
    if sum(map(len, found)) < len(source):
        raise InputError(f"images in '{source.place}' can no longer be read")
    return np.concatenate(found)


def name_of(name: str) -> str:
    """The last part of an image's name, for its caption."""
    return os.path.basename(name)
