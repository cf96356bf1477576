"""A collection in the plane: a map of its features, its clusters, and a page to look at them."""

from __future__ import annotations

import base64
import importlib
import json
import math
import os
import pathlib
from typing import Literal

import numpy as np
import tensorflow as tf
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from keras_simsiam.arrays import as_features, as_rgb
from keras_simsiam.collection.sources import Source
from keras_simsiam.errors import InputError
from keras_simsiam.evaluation.products import unit
from keras_simsiam.fields import Count, Seed, checks_arguments
from keras_simsiam.files import write_text

Method = Literal["tsne", "pca", "umap"]

_KEPT = 50
"""Dimensions that t-SNE starts from, those of the largest variance."""

_SPRITE = 8192
"""Largest side in pixels of an image that browsers accept."""

_THUMBNAIL = 48
"""Largest side in pixels of a thumbnail."""


@checks_arguments
def project(features: np.ndarray, method: Method = "tsne", seed: Seed = 0) -> np.ndarray:
    """Features as points in the plane.

    Args:
        features: float ``[N, D]``, N at least 5; distances are those of their directions.
        method: "tsne" or "pca" of scikit-learn, or "umap" of umap-learn if that is installed.
        seed: Seed of t-SNE and UMAP.

    Returns:
        float32 ``[N, 2]``.

    Raises:
        InputError: If there are too few images, or umap-learn is not installed.
    """
    vectors = unit(as_features(features))
    if len(vectors) < 5:
        raise InputError(f"a map needs at least 5 images; got {len(vectors)}")
    if method == "umap":
        try:
            umap = importlib.import_module("umap")
        except ImportError as e:
            raise InputError("method umap needs umap-learn: pip install umap-learn") from e
        neighbors = min(15, len(vectors) - 1)
        return np.asarray(
            umap.UMAP(n_neighbors=neighbors, random_state=seed).fit_transform(vectors)
        )
    dimension = min(2 if method == "pca" else _KEPT, *vectors.shape)
    points = PCA(dimension, random_state=seed).fit_transform(vectors)
    if method == "tsne":
        perplexity = min(30, (len(vectors) - 1) / 3)
        points = TSNE(perplexity=perplexity, random_state=seed).fit_transform(points)
    if points.shape[1] < 2:
        points = np.pad(points, ((0, 0), (0, 1)))
    return points.astype(np.float32)


@checks_arguments
def cluster(features: np.ndarray, count: Count, seed: Seed = 0) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of features by k-means.

    Args:
        features: float ``[N, D]``; distances are those of their directions.
        count: The most clusters.
        seed: Seed of their first centers.

    Returns:
        The cluster of each image, int ``[N]``, largest first, and its distance from the center,
        float ``[N]``.
    """
    vectors = unit(as_features(features))
    count = min(count, len(np.unique(vectors, axis=0)))
    found = KMeans(count, n_init=3, random_state=seed).fit(vectors)
    order = np.argsort(-np.bincount(found.labels_, minlength=count), kind="stable")
    number = np.empty(count, int)
    number[order] = np.arange(count)
    distances = np.linalg.norm(vectors - found.cluster_centers_[found.labels_], axis=1)
    return number[found.labels_], distances


def write_page(
    path: str | os.PathLike, source: Source, points: np.ndarray, groups: list[str], title: str
) -> None:
    """Writes an HTML page that shows images on a map and needs no other file and no network.

    Args:
        path: The page.
        source: The images.
        points: float ``[N, 2]``.
        groups: The class or cluster of each image.
        title: Its title.
    """
    columns = math.ceil(math.sqrt(len(source)))
    side = min(_THUMBNAIL, _SPRITE // columns)
    sprite = np.zeros((columns * side, columns * side, 3), np.uint8)
    for positions, images in source.read(side, 0, len(source)):
        for i, image in zip(positions, as_rgb(images.numpy()), strict=True):
            y, x = (side * n for n in divmod(int(i), columns))
            sprite[y : y + side, x : x + side] = image
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / max(float((high - low).max()), 1e-9)
    values = {
        "title": title,
        "names": source.names,
        "groups": groups,
        "points": np.round(scaled, 4).tolist(),
        "columns": columns,
        "side": side,
        "sprite": base64.b64encode(tf.io.encode_jpeg(sprite, quality=80).numpy()).decode(),
    }
    # As ASCII without "<", no name of a file can end the script, or be other than text.
    data = json.dumps(values, separators=(",", ":")).replace("<", "\\u003c")
    template = pathlib.Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    write_text(path, template.replace("DATA", data, 1))
