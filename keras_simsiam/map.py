"""Draws a map of a collection: ``python -m keras_simsiam.map FEATURES --output map.html``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import keras_simsiam.collection_options as shared
from keras_simsiam import options
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Settings, setting

_DRAWN = 10
"""Images of each cluster on the sheet."""


@dataclass(frozen=True)
class Mapping(Settings):
    """What to draw."""

    output: str = setting(alias="-o")
    """HTML page to write; a PNG of the map, a sheet of the clusters and a CSV file are written
    beside it. Required."""
    method: Literal["tsne", "pca", "umap"] = "tsne"
    """How features become points: t-SNE, PCA, or UMAP, which needs umap-learn."""
    clusters: int = setting(12, at_least=1, at_most=100)
    """Number of clusters."""
    seed: int = setting(0, at_least=0, below=2**31)
    """Seed of the map and of the clusters."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.output.endswith(".html"):
            raise InputError(f"output must end in .html; got '{self.output}'")


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and draws; returns the exit code."""
    paths, mapping, inputs = shared.parse(
        "map", "Draw a map of a collection and its clusters.", Mapping, argv
    )
    endings = (".png", "-clusters.png", ".csv")
    places = [mapping.output, *(shared.beside(mapping.output, end) for end in endings)]
    shared.check_free(inputs.overwrite, *places)
    _draw(paths, mapping, inputs, places)
    return 0


def _draw(paths: list[str], mapping: Mapping, inputs: shared.Inputs, places: list[str]) -> None:
    import numpy as np

    from keras_simsiam import plots
    from keras_simsiam.collection.maps import cluster, project, write_page
    from keras_simsiam.collection.opened import SHOWN_SIDE, Opened, name_of
    from keras_simsiam.files import spreadsheet_text, write_csv

    started = time.perf_counter()
    opened = Opened.of(paths, inputs)
    features, source = opened.features, opened.source()
    points = project(features.values, mapping.method, mapping.seed)
    clusters, distances = cluster(features.values, mapping.clusters, mapping.seed)
    page, picture, sheet, table = places
    title = f"{len(features):,} images, {mapping.method}"
    count = int(clusters.max()) + 1
    if features.labels is None:
        groups, names, numbers = [f"cluster {c + 1}" for c in clusters], None, clusters
    else:
        groups, names = features.labels, sorted(set(features.labels))
        numbers = np.array([names.index(label) for label in groups])
    write_page(page, source, points, groups, title)
    plots.scatter(
        points, numbers, names or [f"cluster {c + 1}" for c in range(count)], picture, title
    )
    shown = [np.flatnonzero(clusters == c) for c in range(count)]
    shown = [rows[np.argsort(distances[rows], kind="stable")[:_DRAWN]] for rows in shown]
    sizes = np.bincount(clusters)
    # Rows of one length: those of a smaller cluster end with its last image again.
    width = min(_DRAWN, int(sizes.max()))
    drawn = np.concatenate([rows[np.minimum(np.arange(width), len(rows) - 1)] for rows in shown])
    captions = [
        f"{sizes[clusters[i]]:,} images" if n % width == 0 else name_of(features.names[i])
        for n, i in enumerate(drawn)
    ]
    plots.sheet(
        source.pick(drawn, SHOWN_SIDE), captions, width, sheet, "The middle of each cluster, a row"
    )
    rows = [
        [spreadsheet_text(name), f"{x:.4f}", f"{y:.4f}", c + 1]
        for name, (x, y), c in zip(features.names, points, clusters, strict=True)
    ]
    write_csv(table, ("name", "x", "y", "cluster"), rows)
    seconds = time.perf_counter() - started
    print(f"{title}, {count} clusters\nwritten: {', '.join(places)}; {seconds:.0f} seconds")


if __name__ == "__main__":
    options.run_command(main)
