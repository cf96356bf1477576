"""Chooses images to label first: ``python -m keras_simsiam.select FEATURES --count 100``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras_simsiam.collection_options as shared
from keras_simsiam import options
from keras_simsiam.fields import Settings, setting

_DRAWN = 60
"""Images on each sheet."""


@dataclass(frozen=True)
class Selection(Settings):
    """What to choose."""

    output: str = setting(alias="-o")
    """CSV file for the chosen images; one for the outliers, and a sheet of each, are written beside
    it. Required."""
    count: int = setting(100, at_least=1)
    """Number of images to choose, and of outliers to list."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and chooses; returns the exit code."""
    paths, selection, inputs = shared.parse(
        "select", "Choose images that cover a collection, and list outliers.", Selection, argv
    )
    endings = (".png", "-outliers.csv", "-outliers.png")
    places = [selection.output, *(shared.beside(selection.output, end) for end in endings)]
    shared.check_free(inputs.overwrite, *places)
    _select(paths, selection, inputs, places)
    return 0


def _select(
    paths: list[str], selection: Selection, inputs: shared.Inputs, places: list[str]
) -> None:
    from keras_simsiam import plots
    from keras_simsiam.collection.opened import SHOWN_SIDE, Opened, name_of
    from keras_simsiam.collection.selection import farthest_first, outliers
    from keras_simsiam.files import spreadsheet_text, write_csv

    opened = Opened.of(paths, inputs)
    source, names, values = opened.source(), opened.features.names, opened.features.values
    chosen, radii = farthest_first(values, selection.count)
    far = outliers(values, selection.count)
    table, sheet, far_table, far_sheet = places
    covering = f"The first of {len(chosen):,} images that cover the collection"
    for rows, numbers, column, csv_file, png_file, title in (
        (chosen, radii, "radius", table, sheet, covering),
        (*far, "distance", far_table, far_sheet, "The images most unlike all others"),
    ):
        lines = [
            [spreadsheet_text(names[i]), f"{number:.4f}"]
            for i, number in zip(rows, numbers, strict=True)
        ]
        write_csv(csv_file, ("name", column), lines)
        drawn = rows[:_DRAWN]
        captions = [name_of(names[i]) for i in drawn]
        plots.sheet(source.pick(drawn, SHOWN_SIDE), captions, 10, png_file, title)
    print(
        f"{len(chosen):,} of {len(names):,} images cover the collection within {radii[-1]:.2f}, "
        f"where one covers it within {radii[0]:.2f}\nwritten: {', '.join(places)}"
    )


if __name__ == "__main__":
    options.run_command(main)
