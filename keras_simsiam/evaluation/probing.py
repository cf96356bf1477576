"""Runs the probes on an encoder's features of a labelled dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keras_simsiam.data import Dataset
from keras_simsiam.evaluation.encoder import Encoder
from keras_simsiam.evaluation.features import augmented_features, extract
from keras_simsiam.evaluation.knn import knn_predict
from keras_simsiam.evaluation.linear import linear_predict, part_of_each_class
from keras_simsiam.fields import choices
from keras_simsiam.probes import Probes


@dataclass(frozen=True)
class Labelled:
    """The features that a probe is fitted to.

    Attributes:
        features: float32 ``[N, D]``.
        labels: int64 ``[N]``.
        augmented: A function from an epoch's number to features of random crops, or None.
        share: Share of the training labels that these are.
    """

    features: np.ndarray
    labels: np.ndarray
    augmented: Callable[[int], np.ndarray] | None = None
    share: float = 1.0

    def part(self, share: float, seed: int) -> Labelled:
        """A random share of each class, at least one example of each."""
        if share == 1:
            return self
        rows = part_of_each_class(self.labels, share, seed)
        whole = self.augmented
        augmented = None if whole is None else lambda epoch: whole(epoch)[rows]
        return Labelled(self.features[rows], self.labels[rows], augmented, share)


@dataclass(frozen=True)
class Result:
    """The accuracy of a probe.

    Attributes:
        probe: Its name.
        part: Share of the training labels that it used.
        labels: Their number.
        top1: Share of the test images, in [0, 1], whose class it ranks first.
        top5: Share whose class it ranks among the first five.
        details: What else there is to say, such as the learning rate.
        predicted: int ``[Q, min(5, classes)]``, its classes for the test images, best first.
    """

    probe: str
    part: float
    labels: int
    top1: float
    top5: float
    details: dict[str, float]
    predicted: np.ndarray


@dataclass(frozen=True)
class Evaluation:
    """An encoder's features of a labelled dataset, and the accuracy of probes.

    Attributes:
        train: The training images and labels.
        test: The test images and labels.
        bank: float32 ``[N, D]``, features of the training images.
        queries: float32 ``[Q, D]``, features of the test images.
        results: By share of the labels, then by probe. The last is the best informed.
    """

    train: Dataset
    test: Dataset
    bank: np.ndarray
    queries: np.ndarray
    results: list[Result]


def evaluate(encoder: Encoder, train: Dataset, test: Dataset, probes: Probes) -> Evaluation:
    """Runs the probes on an encoder's features.

    Args:
        encoder: See `Encoder`.
        train: Training images and labels.
        test: Test images and labels.
        probes: Which probes to run, and their options.
    """
    bank, queries = (extract(encoder, d.images) for d in (train, test))
    augmented = None
    if probes.linear.linear_augment:
        augmented = augmented_features(encoder, train.images, probes.seed)
    labelled = Labelled(bank, train.labels, augmented)
    results = []
    for share in sorted(set(probes.labels)):
        part = labelled.part(share, probes.seed)
        for name in choices(Probes, "probe"):
            if name in probes.probe:
                predicted, details = PROBES[name](part, queries, probes)
                hits = predicted == test.labels[:, None]
                top1, top5 = float(hits[:, 0].mean()), float(hits.any(axis=1).mean())
                count = len(part.labels)
                results.append(Result(name, share, count, top1, top5, details, predicted))
    return Evaluation(train, test, bank, queries, results)


def _knn(part: Labelled, queries: np.ndarray, probes: Probes) -> tuple[np.ndarray, dict]:
    capped = min(probes.knn.knn_k, len(part.labels))
    # With all labels, `knn_predict` warns of a bank smaller than k; with few, that is expected.
    k = probes.knn.knn_k if part.share == 1 else capped
    predicted = knn_predict(
        part.features, part.labels, queries, k, temperature=probes.knn.knn_temperature
    )
    return predicted, {"k": capped}


def _linear(part: Labelled, queries: np.ndarray, probes: Probes) -> tuple[np.ndarray, dict]:
    predicted, rate = linear_predict(
        part.features,
        part.labels,
        queries,
        epochs=probes.linear.linear_epochs,
        batch_size=probes.linear.linear_batch_size,
        seed=probes.seed,
        optimizer=probes.linear.linear_optimizer,
        augmented=part.augmented,
    )
    return predicted, {"learning_rate": rate}


PROBES = {"knn": _knn, "linear": _linear}
"""By name: a function from labelled features, queries and options to predicted classes and what
else `Result.details` says."""
