"""Reports an evaluation as a table, JSON, figures and files for TensorBoard's projector."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
from sklearn.manifold import TSNE
from sklearn.metrics import confusion_matrix

from keras_simsiam import environment, plots
from keras_simsiam.arrays import as_rgb
from keras_simsiam.data import ImagesLike, as_images
from keras_simsiam.errors import printable
from keras_simsiam.evaluation import projector
from keras_simsiam.evaluation.nearest import nearest
from keras_simsiam.evaluation.probing import Evaluation
from keras_simsiam.evaluation.products import unit
from keras_simsiam.files import spreadsheet_text, write_csv, write_json

SHOWN_SIDE = 64
"""Side in pixels at which images are drawn."""

_MAPPED = 2000
"""The most features on the map; t-SNE takes seconds for these."""

_QUERIES, _NEIGHBORS = 10, 10


def table(evaluation: Evaluation) -> list[list[str]]:
    """The rows of a table: the headings, then one row per result."""
    lines = [["probe", "labels", "top-1", "top-5", "rate"]]
    for r in evaluation.results:
        rate = f"{r.details['learning_rate']:g}" if "learning_rate" in r.details else "-"
        share = f"{r.labels:,} ({r.part:.4g})"
        lines.append([r.probe, share, f"{r.top1:.2%}", f"{r.top5:.2%}", rate])
    return lines


def write(evaluation: Evaluation, folder: str | pathlib.Path, seed: int, about: dict) -> None:
    """Writes ``evaluation.json``, ``confusion.csv``, figures and the files of the projector.

    Args:
        evaluation: What to report.
        folder: The folder. Existing files of these names are replaced.
        seed: Seed of the evaluation, and of the choice of images to draw.
        about: More entries for ``evaluation.json``.
    """
    folder = pathlib.Path(folder)
    names, best = evaluation.test.class_names, evaluation.results[-1]
    predicted = best.predicted[:, 0]
    counts = confusion_matrix(evaluation.test.labels, predicted, labels=range(len(names)))
    images = counts.sum(axis=1)
    per_class = {
        name: {"accuracy": float(right / of) if of else None, "images": int(of)}
        for name, right, of in zip(names, counts.diagonal(), images, strict=True)
    }
    results = [
        {k: getattr(r, k) for k in ("probe", "labels", "part", "top1", "top5")} | r.details
        for r in evaluation.results
    ]
    written = {
        **about,
        "train_images": len(evaluation.train.features),
        "test_images": len(evaluation.test.features),
        "features": evaluation.test.features.shape[1],
        "seed": seed,
        "results": results,
        "per_class": {"probe": best.probe, "classes": per_class},
        "processor": environment.processor(),
        "versions": environment.versions(),
    }
    write_json(folder / "evaluation.json", written)
    write_confusion(counts, names, folder, f"{best.probe}, top-1 {best.top1:.1%}")
    _draw_neighbors(evaluation, seed, folder / "neighbors.png")
    _draw_map(evaluation, seed, folder)


def write_confusion(
    counts: np.ndarray, names: Sequence[str], folder: pathlib.Path, title: str
) -> None:
    """Writes a confusion matrix as ``confusion.csv`` and ``confusion.png``.

    Args:
        counts: int ``[C, C]``, numbers of images by true class (row) and predicted class (column).
        names: Names of the classes.
        folder: The folder.
        title: Title of the figure.
    """
    shown = [spreadsheet_text(printable(name)) for name in names]
    rows = ([name, *row] for name, row in zip(shown, counts.tolist(), strict=True))
    write_csv(folder / "confusion.csv", ["true class", *shown], rows)
    plots.confusion(counts, names, folder / "confusion.png", title)


def _draw_neighbors(evaluation: Evaluation, seed: int, path: pathlib.Path) -> None:
    train, test = evaluation.train, evaluation.test
    rows = _chosen(len(test.labels), _QUERIES, seed)
    k = min(_NEIGHBORS, len(train.features))
    _, found = nearest(train.features, test.features[rows], k)
    pictures = _pictures(train.images, found.ravel(), SHOWN_SIDE)
    plots.neighbors(
        _pictures(test.images, rows, SHOWN_SIDE),
        pictures.reshape(*found.shape, *pictures.shape[1:]),
        train.labels[found] == test.labels[rows][:, None],
        path,
    )


def _draw_map(evaluation: Evaluation, seed: int, folder: pathlib.Path) -> None:
    test = evaluation.test
    rows = _chosen(len(test.labels), _MAPPED, seed)
    features, labels = test.features[rows], test.labels[rows]
    pictures = _pictures(test.images, rows, SHOWN_SIDE)
    projector.write(folder / "projector", features, labels, test.class_names, pictures)
    if len(rows) < 5:
        return  # too few for t-SNE
    perplexity = min(30, (len(rows) - 1) / 3)
    points = TSNE(perplexity=perplexity, random_state=seed).fit_transform(unit(features))
    title = f"t-SNE of the features of {len(rows):,} test images"
    plots.scatter(points, labels, test.class_names, folder / "map.png", title)


def _pictures(images: ImagesLike, rows: np.ndarray, side: int) -> np.ndarray:
    """Some of the images to draw, uint8 ``[n, side, side, 3]``."""
    return as_rgb(as_images(images, channels=None).pick(rows, side))


def _chosen(count: int, most: int, seed: int) -> np.ndarray:
    """At most `most` of `count` positions, at random, ascending."""
    generator = np.random.default_rng(seed)
    return np.sort(generator.choice(count, min(most, count), replace=False))
