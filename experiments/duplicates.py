"""How well duplicates are found: average precision of several similarities of images.

Each of 540 images is recompressed, resized, cropped to nine tenths and brightened. Of all pairs of
the 2,700 images, those of one image should come first. The photographs are of a folder of yours.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from sklearn.metrics import average_precision_score

from keras_simsiam import find_encoder, options, tables
from keras_simsiam.collection import Source, find_source
from keras_simsiam.collection.duplicates import VARIANTS, variant
from keras_simsiam.collection.similarity import (
    HASHED_SIDE,
    Likeness,
    Whitening,
    perceptual_hash,
)
from keras_simsiam.data.images import square
from keras_simsiam.evaluation import Encoder
from keras_simsiam.evaluation.products import unit

IMAGES = 540


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a table with a column for each collection."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--encoder", default="saved_models/photo_patches", help="see embed --help")
    parser.add_argument("--collections", nargs="+", default=["photo_patches"], metavar="DATASET")
    args = parser.parse_args(argv)
    encoder = find_encoder(args.encoder)
    columns = [_measured(find_source(name), encoder) for name in args.collections]
    rows = [[name, *(f"{column[name]:.3f}" for column in columns)] for name in columns[0]]
    print(tables.markdown([["average precision", *args.collections], *rows]))
    return 0


def _measured(source: Source, encoder: Encoder) -> dict[str, float]:
    random = np.random.default_rng(0)
    features, small = [], []
    for i in random.choice(len(source), IMAGES, replace=False):
        image = source.original(i)
        for made in (image, *(variant(image, kind, random) for kind in VARIANTS)):
            small.append(np.asarray(square(made, HASHED_SIDE)))
            features.append(np.asarray(encoder(square(made, encoder.image_size)[None]))[0])
    hashes, vectors = perceptual_hash(np.stack(small)), np.stack(features)
    cosine, white = unit(vectors), Whitening.of(vectors)(vectors)
    near = hashes @ hashes.T / (2 * hashes.shape[1])  # 1/2 - distance / 64
    found = {
        "cosine": _precision(cosine @ cosine.T),
        "perceptual hash": _precision(near),
        "cosine, whitened": _precision(white @ white.T),
        "cosine, whitened, and hash": _precision(white @ white.T + near),
    }
    scores = np.full(near.shape, -1.0)
    values, a, b = Likeness(vectors, hashes).pairs()
    scores[a, b] = values
    return {**found, "whitened, scaled locally, and hash (ours)": _precision(scores)}


def _precision(scores: np.ndarray) -> float:
    """Average precision of all pairs of different images."""
    pairs = np.triu_indices(len(scores), 1)
    image = np.arange(len(scores)) // (1 + len(VARIANTS))
    return float(average_precision_score(image[pairs[0]] == image[pairs[1]], scores[pairs]))


if __name__ == "__main__":
    options.run_command(main)
