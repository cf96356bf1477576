"""Finds images that are nearly the same: copies, other sizes, crops, exposures."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image, ImageEnhance
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from keras_simsiam.arrays import as_rgb
from keras_simsiam.collection.features import Features
from keras_simsiam.collection.opened import check_model
from keras_simsiam.collection.similarity import HASHED_SIDE, Likeness, perceptual_hash
from keras_simsiam.collection.sources import Source
from keras_simsiam.data.images import square
from keras_simsiam.errors import InputError
from keras_simsiam.evaluation import Encoder
from keras_simsiam.fields import Count, Seed, Share, checks_arguments

_TRIED = 200
"""Images of which variants are made."""

VARIANTS = ("recompressed", "resized", "cropped", "brightened")


class Pair(NamedTuple):
    """Two images that are nearly the same.

    Attributes:
        similarity: At most 1.
        a: Row of the first image.
        b: Row of the second.
        group: Number of the group of images that pairs link.
        exact: Whether the files are equal byte by byte.
        across: The splits of both, such as "train validation", if they differ; else "".
    """

    similarity: float
    a: int
    b: int
    group: int
    exact: bool
    across: str


class Recall(NamedTuple):
    """What thresholds of similarity would find.

    Attributes:
        thresholds: float ``[T]``, descending.
        pairs: int ``[T]``, pairs of the collection that are at least as similar.
        found: float ``[T]``, the share of variants that are as similar to their images, by kind.
    """

    thresholds: np.ndarray
    pairs: np.ndarray
    found: dict[str, np.ndarray]


class Duplicates(NamedTuple):
    """Pairs, copies first and then the most similar, and what thresholds would find."""

    pairs: list[Pair]
    recall: Recall


@checks_arguments
def find_duplicates(
    features: Features,
    source: Source,
    encoder: Encoder,
    recall: Share = 0.9,
    most: Count = 10_000,
    seed: Seed = 0,
) -> Duplicates:
    """The pairs of images that are nearly the same.

    No threshold of similarity suits all collections. So variants of 200 of the images are made,
    recompressed, resized, cropped and brightened, and the threshold is the similarity that finds
    a share of them.

    Args:
        features: Features of the images, at least two.
        source: The images in the same order, see `find_source`.
        encoder: What made the features.
        recall: The share of the variants to find.
        most: The most pairs to return.
        seed: Chooses the images, and where they are cropped.

    Raises:
        InputError: If the features are of another encoder, or an image cannot be read.
    """
    check_model(features, encoder)
    source = source.seen_by(encoder.preprocessing)
    first = _first_copies(source)
    rows = np.flatnonzero(first == np.arange(len(first)))
    copies = np.flatnonzero(first != np.arange(len(first)))
    if len(rows) < 2:
        found = [(1.0, int(first[i]), int(i), True) for i in copies]
        none = np.zeros(0)
        return Duplicates(_grouped(found[:most], source), Recall(none, none.astype(int), {}))
    distinct = source.only([source.names[i] for i in rows])
    likeness = Likeness(features.values[rows], _hashes(distinct))
    scores, a, b = likeness.pairs()
    of_variants = _of_variants(distinct, encoder, likeness, seed)
    measured = _recall(scores, of_variants)
    threshold = np.quantile(np.concatenate([*of_variants.values()]), 1 - recall, method="lower")
    near = scores >= threshold
    found = [(1.0, int(first[i]), int(i), True) for i in copies]
    found += [
        (float(score), int(rows[i]), int(rows[j]), False)
        for score, i, j in zip(scores[near], a[near], b[near], strict=True)
    ]
    return Duplicates(_grouped(found[:most], source), measured)


def _first_copies(source: Source) -> np.ndarray:
    """For each image the first that has the same bytes, int ``[N]``."""
    known: dict[bytes, int] = {}
    return np.array([known.setdefault(source.digest(i), i) for i in range(len(source))])


def _hashes(source: Source) -> np.ndarray:
    hashes, done = [], np.zeros(len(source), bool)
    for positions, images in source.read(HASHED_SIDE, 0, len(source)):
        hashes.append(perceptual_hash(as_rgb(images.numpy())))
        done[positions] = True
    if not done.all():
        missing = int(np.argmin(done))
        raise InputError(f"'{source.names[missing]}' can no longer be read: {source.why(missing)}")
    return np.concatenate(hashes)


def _of_variants(
    source: Source, encoder: Encoder, likeness: Likeness, seed: int
) -> dict[str, np.ndarray]:
    """How similar variants are to their images, float ``[n]`` for each kind."""
    random = np.random.default_rng(seed)
    rows = np.sort(random.choice(len(source), min(_TRIED, len(source)), replace=False))
    originals = [source.original(i) for i in rows]
    found = {}
    for kind in VARIANTS:
        images = [tf.constant(variant(image, kind, random)) for image in originals]
        small = np.stack([square(image, HASHED_SIDE) for image in images])
        seen = tf.stack([square(image, encoder.image_size) for image in images])
        features = np.asarray(encoder(seen))
        found[kind] = likeness.with_row(features, perceptual_hash(as_rgb(small)), rows)
    return found


def variant(image: np.ndarray, kind: str, random: np.random.Generator) -> np.ndarray:
    """A variant of an image, uint8 ``[h, w, C]``.

    Args:
        image: uint8 ``[H, W, C]``.
        kind: "recompressed" as a JPEG of quality 40, "resized" to half of each side, "cropped" to
            nine tenths of each, or "brightened" by 30%.
        random: Chooses the place of the crop.
    """
    height, width, channels = image.shape
    h, w = (max(1, round(0.9 * side)) for side in (height, width))
    if kind == "cropped":
        x, y = int(random.integers(width - w + 1)), int(random.integers(height - h + 1))
        return image[y : y + h, x : x + w]
    if channels != 3:  # Pillow knows no others
        planes = np.moveaxis(image, 2, 0)
        return np.stack([_altered(Image.fromarray(p).convert("L"), kind) for p in planes], axis=2)
    return _altered(Image.fromarray(image), kind)


def _altered(picture: Image.Image, kind: str) -> np.ndarray:
    width, height = picture.size
    if kind == "recompressed":
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=40)
        picture = Image.open(file)
    elif kind == "resized":
        half = max(1, width // 2), max(1, height // 2)
        picture = picture.resize(half, Image.Resampling.BILINEAR)
    else:
        picture = ImageEnhance.Brightness(picture).enhance(1.3)
    return np.asarray(picture)


def _recall(scores: np.ndarray, of_variants: dict[str, np.ndarray]) -> Recall:
    every = np.concatenate([*of_variants.values()])
    thresholds = np.unique(every)[::-1]
    found = {
        kind: (values >= thresholds[:, None]).mean(axis=1)
        for kind, values in {"all": every, **of_variants}.items()
    }
    pairs = np.searchsorted(-scores, -thresholds, side="right")
    return Recall(thresholds, pairs, found)


def _grouped(found: list[tuple[float, int, int, bool]], source: Source) -> list[Pair]:
    """The pairs with their groups, numbered in the order in which they come, and their splits."""
    a, b = (np.array([pair[i] for pair in found], int) for i in (1, 2))
    links = coo_array((np.ones(len(found)), (a, b)), shape=(len(source), len(source)))
    _, component = connected_components(links, directed=False)
    number: dict[int, int] = {}
    splits = source.splits or [""] * len(source)
    return [
        Pair(
            similarity,
            i,
            j,
            number.setdefault(int(component[i]), len(number) + 1),
            exact,
            " ".join(sorted({splits[i], splits[j]})) if splits[i] != splits[j] else "",
        )
        for similarity, i, j, exact in found
    ]
