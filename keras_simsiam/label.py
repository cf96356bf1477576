"""Labels all images from a few: ``python -m keras_simsiam.label FEATURES --labels labels.csv``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import keras_simsiam.collection_options as shared
from keras_simsiam import options
from keras_simsiam.errors import InputError, shown
from keras_simsiam.fields import Settings, setting


@dataclass(frozen=True)
class Labeling(Settings):
    """What to label."""

    output: str = setting(alias="-o")
    """CSV file for the name, class and confidence of each image; required."""
    labels: str | None = None
    """CSV file with the columns name and label; by default the labels that embed found."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and labels; returns the exit code."""
    description = "Predict the class of every image from the labels of a few."
    paths, labeling, inputs = shared.parse("label", description, Labeling, argv)
    shared.check_free(inputs.overwrite, labeling.output)
    _label(paths, labeling, inputs)
    return 0


def _label(paths: list[str], labeling: Labeling, inputs: shared.Inputs) -> None:
    from keras_simsiam.collection import Features
    from keras_simsiam.collection.labeling import predict_labels, read_labels
    from keras_simsiam.collection.opened import Opened, baseline_features
    from keras_simsiam.files import spreadsheet_text, write_csv

    started = time.perf_counter()
    opened = Opened.of(paths, inputs)
    features: Features = opened.features
    if labeling.labels is not None:
        labels = read_labels(labeling.labels)
    else:
        given = features.labels or [""] * len(features)
        labels = {n: label for n, label in zip(features.names, given, strict=True) if label}
    row = features.row()
    missing = [name for name in labels if name not in row]
    if missing:
        raise InputError(
            f"labels must be of images of the features; {len(missing):,} of {len(labels):,} are "
            f"not, such as {shown(missing[0])}"
        )
    found = predict_labels(features.values, {row[name]: label for name, label in labels.items()})
    rows = [
        [spreadsheet_text(name), spreadsheet_text(found.classes[c]), f"{confidence:.4f}"]
        for name, c, confidence in zip(
            features.names, found.predicted, found.confidence, strict=True
        )
    ]
    baselines = {}
    known = opened.source(list(labels))
    for name in ("random", "pixels"):
        values = baseline_features(name, known)
        baselines[name] = predict_labels(values, dict(enumerate(labels.values()))).accuracy
    write_csv(labeling.output, ("name", "label", "confidence"), rows)
    print(
        f"accuracy of each of the {len(labels):,} labeled images if it is left out: "
        f"{found.accuracy:.1%}; random weights {baselines['random']:.1%}, "
        f"raw pixels {baselines['pixels']:.1%}, {len(found.classes)} classes\n"
        f"{len(rows):,} images labeled in {labeling.output}, mean confidence "
        f"{found.confidence.mean():.0%}; {time.perf_counter() - started:.0f} seconds"
    )


if __name__ == "__main__":
    options.run_command(main)
