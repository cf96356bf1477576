"""Finds duplicates: ``python -m keras_simsiam.duplicates FEATURES --output duplicates.csv``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import keras_simsiam.collection_options as shared
from keras_simsiam import options, tables
from keras_simsiam.fields import Settings, setting

_DRAWN = 40
"""Pairs on the sheet."""

_SHARES = (0.99, 0.95, 0.9, 0.8, 0.7, 0.5)
"""Shares of the variants in the table."""


@dataclass(frozen=True)
class DuplicateSearch(Settings):
    """What to write."""

    output: str = setting(alias="-o")
    """CSV file for the pairs; a sheet of the first pairs and a plot of the recall are written
    beside it. Required."""
    recall: float = setting(0.9, above=0, at_most=1)
    """Write pairs down to the similarity that finds this share of the variants, which are
    recompressed, resized, cropped and brightened copies of 200 images."""
    most: int = setting(10_000, at_least=1)
    """Largest number of pairs to write."""
    seed: int = setting(0, at_least=0, below=2**31)
    """Seed of the choice of images from which variants are made."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and finds duplicates; returns the exit code."""
    paths, search, inputs = shared.parse(
        "duplicates", "Find images that are nearly the same.", DuplicateSearch, argv
    )
    sheet, curve = (shared.beside(search.output, end) for end in ("-pairs.png", "-recall.png"))
    shared.check_free(inputs.overwrite, search.output, sheet, curve)
    _find(paths, search, inputs, sheet, curve)
    return 0


def _find(
    paths: list[str], search: DuplicateSearch, inputs: shared.Inputs, sheet: str, curve: str
) -> None:
    from keras_simsiam import plots
    from keras_simsiam.collection.duplicates import find_duplicates
    from keras_simsiam.collection.opened import SHOWN_SIDE, Opened, name_of
    from keras_simsiam.files import spreadsheet_text, write_csv

    started = time.perf_counter()
    opened = Opened.of(paths, inputs)
    source, names = opened.source(), opened.features.names
    found = find_duplicates(
        opened.features, source, opened.encoder(source), search.recall, search.most, search.seed
    )
    rows = []
    for p in found.pairs:
        pair = (spreadsheet_text(names[i]) for i in (p.a, p.b))
        rows.append([f"{p.similarity:.4f}", *pair, p.group, "yes" if p.exact else "", p.across])
    columns = ("similarity", "a", "b", "group", "exact", "across")
    write_csv(search.output, columns, rows)
    written = [search.output]
    if found.pairs:
        shown = found.pairs[:_DRAWN]
        positions = [i for p in shown for i in (p.a, p.b)]
        captions = [
            caption
            for p in shown
            for caption in (f"{p.similarity:.2f} {name_of(names[p.a])}", name_of(names[p.b]))
        ]
        title = f"The first {len(shown)} of {len(rows):,} pairs"
        plots.sheet(source.pick(positions, SHOWN_SIDE), captions, 8, sheet, title)
        written.append(sheet)
    if len(found.recall.thresholds):
        plots.recall(found.recall.pairs, found.recall.found, curve)
        written.append(curve)
        print(f"what thresholds find of variants of these images\n\n{_table(found.recall)}\n")
    across = sum(bool(p.across) for p in found.pairs)
    exact = sum(p.exact for p in found.pairs)
    groups = len({p.group for p in found.pairs})
    print(
        f"{len(rows):,} pairs in {groups:,} groups, {exact:,} of them copies byte by byte, "
        f"{across:,} between training and validation images\n"
        f"written: {', '.join(written)}; {time.perf_counter() - started:.0f} seconds"
    )


def _table(recall) -> str:
    """Similarity, pairs and what is found of each kind, for shares of all variants."""
    lines = [["similarity", "pairs", *(f"{kind}" for kind in recall.found)]]
    for share in _SHARES:
        at = int((recall.found["all"] >= share).argmax())
        found = (f"{values[at]:.0%}" for values in recall.found.values())
        lines.append([f"{recall.thresholds[at]:.3f}", f"{recall.pairs[at]:,}", *found])
    return tables.markdown(lines)


if __name__ == "__main__":
    options.run_command(main)
