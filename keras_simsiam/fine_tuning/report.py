"""Writes a classifier with its accuracy, its confusion matrix and its mistakes as one folder."""

from __future__ import annotations

import os
import pathlib

from sklearn.metrics import confusion_matrix

from keras_simsiam import environment, plots
from keras_simsiam.evaluation.report import write_confusion
from keras_simsiam.files import write_json, written_atomically
from keras_simsiam.fine_tuning.exported import write_classifier
from keras_simsiam.fine_tuning.measuring import FineTuned

_SHOWN, _COLUMNS, _SIDE = 40, 8, 96


def table(found: FineTuned) -> list[list[str]]:
    """The rows of a table: the headings, then one row per share of the labels."""
    head = ["labels", "fine-tuned", "random weights", "kNN", "kNN, random weights"]
    return [
        head,
        *([f"{r.labels:,}", *(f"{accuracy:.1%}" for accuracy in r[1:])] for r in found.results),
    ]


def write(found: FineTuned, folder: str | os.PathLike, about: dict) -> None:
    """Writes the classifier's SavedModel, and beside it in its folder what is known of it.

    Args:
        found: What to write.
        folder: The folder, which is written as a whole. An existing one is replaced.
        about: More entries for ``fine_tuning.json``.
    """
    names, tested = found.classifier.class_names, found.tested
    counts = confusion_matrix(tested.truth, tested.predicted, labels=range(len(names)))
    with written_atomically(folder) as partial:
        write_classifier(found.classifier, partial)
        results = [result._asdict() for result in found.results]
        values = {
            **about,
            "classes": [*names],
            "results": results,
            "tested_images": len(tested.truth),
            "folds": found.folds,
            "processor": environment.processor(),
            "versions": environment.versions(),
        }
        write_json(partial / "fine_tuning.json", values)
        title = f"{found.results[-1].labels:,} labels, {found.results[-1].accuracy:.1%} right"
        write_confusion(counts, names, partial, title)
        _draw_mistakes(found, partial / "mistakes.png")


def _draw_mistakes(found: FineTuned, path: pathlib.Path) -> None:
    """The most confident mistakes as a sheet, if there are any."""
    tested, names = found.tested, found.classifier.class_names
    rows = tested.mistakes()[:_SHOWN]
    if not len(rows):
        return
    captions = [
        f"{tested.confidence[i]:.0%} {names[tested.predicted[i]]}, is {names[tested.truth[i]]}"
        for i in rows
    ]
    title = f"The {len(rows)} most confident of {len(tested.mistakes()):,} mistakes"
    plots.sheet(tested.source.pick(rows, _SIDE), captions, _COLUMNS, path, title)
