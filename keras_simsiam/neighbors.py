"""Finds similar images: ``python -m keras_simsiam.neighbors FEATURES --image a.jpg --k 10``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras_simsiam.collection_options as shared
from keras_simsiam import options, tables
from keras_simsiam.errors import printable
from keras_simsiam.fields import Settings, setting


@dataclass(frozen=True)
class Search(Settings):
    """What to find."""

    image: list[str] = setting(metavar="FILE ...")
    """Images whose neighbors to find; required."""
    k: int = setting(10, at_least=1)
    """Number of neighbors of each image."""
    output: str = setting("neighbors.png", alias="-o")
    """PNG file for a sheet of the images and their neighbors."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and searches; returns the exit code."""
    paths, search, inputs = shared.parse(
        "neighbors",
        "Find the images of a collection that are most similar to others.",
        Search,
        argv,
    )
    shared.check_free(inputs.overwrite, search.output)
    _search(paths, search, inputs)
    return 0


def _search(paths: list[str], search: Search, inputs: shared.Inputs) -> None:
    import numpy as np

    from keras_simsiam import plots
    from keras_simsiam.collection import find_source
    from keras_simsiam.collection.embedding import features_of
    from keras_simsiam.collection.opened import SHOWN_SIDE, Opened, name_of
    from keras_simsiam.evaluation.nearest import nearest

    opened = Opened.of(paths, inputs)
    source, names = opened.source(), opened.features.names
    encoder = opened.encoder(source)
    # Measured on the queries alone, the range of more than 8 bits may be another one.
    asked = find_source(search.image).read_as(source.seen_by(encoder.preprocessing))
    queries = features_of(encoder, opened.features.origin, asked)
    k = min(search.k, len(names))
    similarity, rows = nearest(opened.features.values, queries.values, k)
    pictures, captions = [], []
    shown = asked.only(queries.names).pick(range(len(queries)), SHOWN_SIDE)
    for query, picture, similar, row in zip(queries.names, shown, similarity, rows, strict=True):
        found = [names[i] for i in row]
        lines = [[f"{s:.4f}", printable(name)] for s, name in zip(similar, found, strict=True)]
        print(f"{tables.markdown([['similarity', printable(query)], *lines])}\n")
        pictures += [picture, *source.pick(row, SHOWN_SIDE)]
        captions += [name_of(query)]
        captions += [f"{s:.3f} {name_of(name)}" for s, name in zip(similar, found, strict=True)]
    title = "The first image of each row, and those most similar to it"
    plots.sheet(np.stack(pictures), captions, k + 1, search.output, title)
    print(f"sheet: {search.output}")


if __name__ == "__main__":
    options.run_command(main)
