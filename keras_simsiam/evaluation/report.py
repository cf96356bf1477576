"""Everything there is to say and show of an encoder on a labelled dataset."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from sklearn.manifold import TSNE
from sklearn.metrics import confusion_matrix

from keras_simsiam import data, plots
from keras_simsiam.evaluation import projector
from keras_simsiam.evaluation.features import Encoder, augmented_features, extract
from keras_simsiam.evaluation.knn import knn_predict
from keras_simsiam.evaluation.linear import linear_predict, part_of_each_class

SHOWN_SIDE = 64
"""Side in pixels at which images are drawn."""

_MAPPED = 2000  # as many features are drawn on a plane; t-SNE takes seconds for these
_QUERIES, _NEIGHBOURS = 10, 10


@dataclass
class Probes:
    """Which probes, and how.

    Attributes:
        names: Of "knn" and "linear".
        parts: Parts of the labels to give them, each in (0, 1].
        knn_k: Neighbours that vote.
        knn_temperature: Of the vote.
        linear: Keyword arguments of `linear_predict`.
        augment: Whether the linear probe trains on random crops and flips.
        seed: Of which labels they are, and of the linear probe.
    """

    names: tuple[str, ...]
    parts: tuple[float, ...]
    knn_k: int
    knn_temperature: float
    linear: dict
    augment: bool
    seed: int


class Evaluation:
    """An encoder's features of a dataset, and what its probes make of them.

    Args:
        encoder: From uint8 images to features.
        size: Side in pixels at which it takes them.
        train: The labelled training images.
        test: The test images.
        probes: What to do.
    """

    def __init__(
        self, encoder: Encoder, size: int, train: data.Dataset, test: data.Dataset, probes: Probes
    ):
        self.train, self.test, self.probes = train, test, probes
        self.bank, self.queries = (extract(encoder, d.images, size) for d in (train, test))
        self.results = []
        self.predicted = None
        augmented = None
        if probes.augment:
            augmented = augmented_features(encoder, train.images, size, probes.seed)
        for part in probes.parts:
            rows = np.arange(len(train.labels))
            if part < 1:
                rows = part_of_each_class(train.labels, part, probes.seed)
            for name in probes.names:
                predicted, more = self._predict(name, rows, augmented)
                hits = predicted == test.labels[:, None]
                self.results.append(
                    {
                        "probe": name,
                        "labels": len(rows),
                        "part": part,
                        "top1": float(hits[:, 0].mean()),
                        "top5": float(hits.any(axis=1).mean()),
                        **more,
                    }
                )
                if part == max(probes.parts):
                    self.predicted = name, predicted[:, 0]  # the last is the linear one, if any

    def _predict(
        self, name: str, rows: np.ndarray, augmented: Callable | None
    ) -> tuple[np.ndarray, dict]:
        p, labels = self.probes, self.train.labels[rows]
        if name == "knn":
            # Few labels are fewer than k; all of them, and it is worth a warning.
            k = p.knn_k if len(rows) == len(self.bank) else min(p.knn_k, len(rows))
            found = knn_predict(self.bank[rows], labels, self.queries, k, p.knn_temperature)
            return found, {"k": k}
        of_epoch = None if augmented is None else lambda epoch: augmented(epoch)[rows]
        predicted, rate = linear_predict(
            self.bank[rows], labels, self.queries, seed=p.seed, augmented=of_epoch, **p.linear
        )
        return predicted, {"learning_rate": rate}

    def table(self) -> list[list[str]]:
        """A line of heads, and one a result."""
        lines = [["probe", "labels", "top-1", "top-5", "rate"]]
        for r in self.results:
            rate = f"{r['learning_rate']:g}" if "learning_rate" in r else "-"
            share = f"{r['labels']:,} ({r['part']:.4g})"
            lines.append([r["probe"], share, f"{r['top1']:.2%}", f"{r['top5']:.2%}", rate])
        return lines

    def write(self, folder: pathlib.Path, about: dict) -> None:
        """Writes results, figures and embeddings.

        Args:
            folder: Where; files of an earlier evaluation in it are replaced.
            about: What else to say in ``evaluation.json``.
        """
        folder.mkdir(parents=True, exist_ok=True)
        names = self.test.class_names
        probe, predicted = self.predicted
        counts = confusion_matrix(self.test.labels, predicted, labels=range(len(names)))
        images = counts.sum(axis=1)
        per_class = {
            name: {"accuracy": float(right / of) if of else None, "images": int(of)}
            for name, right, of in zip(names, counts.diagonal(), images, strict=True)
        }
        written = {
            **about,
            "train_images": len(self.bank),
            "test_images": len(self.queries),
            "features": self.bank.shape[1],
            "seed": self.probes.seed,
            "results": self.results,
            "per_class": {"probe": probe, "classes": per_class, "confusion": counts.tolist()},
        }
        (folder / "evaluation.json").write_text(json.dumps(written, indent=1) + "\n")
        accuracy = f"{probe}, top-1 {(predicted == self.test.labels).mean():.1%}"
        plots.confusion(counts, names, folder / "confusion.png", accuracy)
        self._draw_neighbours(folder / "neighbours.png")
        self._draw_map(folder)

    def _draw_neighbours(self, path: pathlib.Path) -> None:
        generator = np.random.default_rng(self.probes.seed)
        count = min(_QUERIES, len(self.queries))
        asked = np.sort(generator.choice(len(self.queries), count, replace=False))
        bank, queries = (tf.math.l2_normalize(v, axis=1) for v in (self.bank, self.queries[asked]))
        similarity = tf.matmul(queries, bank, transpose_b=True)
        found = tf.math.top_k(similarity, min(_NEIGHBOURS, len(self.bank))).indices.numpy()
        same = self.train.labels[found] == self.test.labels[asked][:, None]
        pictures = data.as_images(self.train.images).pick(found.ravel(), SHOWN_SIDE)
        plots.neighbours(
            data.as_images(self.test.images).pick(asked, SHOWN_SIDE),
            pictures.reshape(*found.shape, *pictures.shape[1:]),
            same,
            path,
        )

    def _draw_map(self, folder: pathlib.Path) -> None:
        generator = np.random.default_rng(self.probes.seed)
        count = min(_MAPPED, len(self.queries))
        rows = np.sort(generator.choice(len(self.queries), count, replace=False))
        features, labels = self.queries[rows], self.test.labels[rows]
        pictures = data.as_images(self.test.images).pick(rows, SHOWN_SIDE)
        projector.write(folder / "projector", features, labels, self.test.class_names, pictures)
        if count < 5:
            return  # too few for a map
        perplexity = min(30, (count - 1) / 3)
        unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        points = TSNE(perplexity=perplexity, random_state=self.probes.seed).fit_transform(unit)
        title = f"t-SNE of the features of {count:,} test images"
        plots.scatter(points, labels, self.test.class_names, folder / "map.png", title)
