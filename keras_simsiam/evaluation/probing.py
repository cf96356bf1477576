"""Runs probes on an encoder's features of a labeled dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from keras_simsiam.arrays import as_labels
from keras_simsiam.data import Dataset, ImagesLike, as_images
from keras_simsiam.errors import InputError
from keras_simsiam.evaluation.encoder import Encoder
from keras_simsiam.evaluation.features import augmented_features, extract, top_accuracies
from keras_simsiam.evaluation.knn import knn_predict
from keras_simsiam.evaluation.linear import linear_predict, part_of_each_class
from keras_simsiam.fields import checks_arguments, choices
from keras_simsiam.probes import Probes
from keras_simsiam.workers import ALONE, Workers


class Labeled(NamedTuple):
    """Labeled images with their features.

    Attributes:
        images: As in `keras_simsiam.data.Dataset`.
        labels: int64 ``[N]``, indices into `class_names`.
        class_names: Human-readable names.
        features: float32 ``[N, D]``.
    """

    images: ImagesLike
    labels: np.ndarray
    class_names: tuple[str, ...]
    features: np.ndarray

    @classmethod
    def of(cls, encoder: Encoder, dataset: Dataset, workers: Workers) -> Labeled:
        """Extracts the features of a dataset; each worker has all of them.

        Raises:
            InputError: If it has no labels, or a label is not that of a class.
        """
        if dataset.labels is None:
            raise InputError("the dataset must have labels, which probes need; got None")
        channels, names = encoder.preprocessing.channels, dataset.class_names
        images = as_images(dataset.images, channels=channels)
        labels = as_labels(dataset.labels, len(images))
        if labels.max() >= len(names):
            raise InputError(
                f"labels must be below {len(names)}, the number of class_names; got {labels.max()}"
            )
        return cls(images, labels, names, extract(encoder, images, workers))


@dataclass(frozen=True)
class Bank:
    """What a probe is fitted to: features and labels of some of the training images.

    Attributes:
        features: float32 ``[N, D]``.
        labels: int64 ``[N]``.
        share: Share of the training images that these are, in (0, 1].
        augmented: A function from the number of an epoch to features of random crops; None for the
            same features in each epoch.
    """

    features: np.ndarray
    labels: np.ndarray
    share: float = 1.0
    augmented: Callable[[int], np.ndarray] | None = None

    def part(self, share: float, seed: int) -> Bank:
        """A random share of each class, at least one image of each."""
        if share == 1:
            return self
        rows = part_of_each_class(self.labels, share, seed)
        whole = self.augmented
        augmented = None if whole is None else lambda epoch: whole(epoch)[rows]
        return Bank(self.features[rows], self.labels[rows], share, augmented)


@dataclass(frozen=True)
class Result:
    """The accuracy of a probe.

    Attributes:
        probe: Its name.
        part: Share of the training labels that it used.
        labels: Their number.
        top1: Share of the test images, in [0, 1], whose class it ranks first.
        top5: Share whose class it ranks among the first five.
        details: More about the probe, such as the learning rate that it chose.
        predicted: int ``[Q, min(5, classes)]``, the predicted classes of the test images, best
            first.
    """

    probe: str
    part: float
    labels: int
    top1: float
    top5: float
    details: dict[str, float]
    predicted: np.ndarray


class Evaluation(NamedTuple):
    """The features of a labeled dataset, and the accuracy of probes.

    Attributes:
        train: The training images.
        test: The test images.
        results: Ordered by share of the labels, then by probe. The last used the most labels.
    """

    train: Labeled
    test: Labeled
    results: list[Result]


@checks_arguments
def evaluate(
    encoder: Encoder, train: Dataset, test: Dataset, probes: Probes, workers: Workers = ALONE
) -> Evaluation:
    """Runs the probes on an encoder's features.

    Args:
        encoder: See `Encoder`.
        train: Training images, with labels.
        test: Test images, with labels.
        probes: Which probes to run, and their options.
        workers: The processes that evaluate together, and must all call this. All have the result.

    Raises:
        InputError: If there are no labels, or too few classes.
    """
    known, asked = (Labeled.of(encoder, dataset, workers) for dataset in (train, test))
    augmented = None
    if probes.linear.linear_augment:
        augmented = augmented_features(encoder, train.images, probes.seed, workers)
    whole = Bank(known.features, known.labels, augmented=augmented)
    results = []
    for share in sorted(set(probes.labels)):
        bank = whole.part(share, probes.seed)
        for name in choices(Probes, "probe"):
            if name in probes.probe:
                predicted, details = PROBES[name](bank, asked.features, probes, workers)
                top1, top5 = top_accuracies(predicted, asked.labels)
                count = len(bank.labels)
                results.append(Result(name, share, count, top1, top5, details, predicted))
    return Evaluation(known, asked, results)


def _knn(
    bank: Bank, queries: np.ndarray, probes: Probes, workers: Workers
) -> tuple[np.ndarray, dict]:
    capped = min(probes.knn.knn_k, len(bank.labels))
    # `knn_predict` warns of a bank smaller than k, which is expected for a share of the labels.
    k = probes.knn.knn_k if bank.share == 1 else capped
    workers = workers.sharing(len(bank.labels))
    own = bank.features[workers.share]
    predicted = knn_predict(own, bank.labels, queries, k, probes.knn.knn_temperature, workers)
    return predicted, {"k": capped}


def _linear(
    bank: Bank, queries: np.ndarray, probes: Probes, workers: Workers
) -> tuple[np.ndarray, dict]:
    predicted, rate = linear_predict(
        bank.features,
        bank.labels,
        queries,
        epochs=probes.linear.linear_epochs,
        batch_size=probes.linear.linear_batch_size,
        seed=probes.seed,
        optimizer=probes.linear.linear_optimizer,
        augmented=bank.augmented,
        workers=workers,
    )
    return predicted, {"learning_rate": rate}


PROBES = {"knn": _knn, "linear": _linear}
"""Functions from the bank, the queries, the options and the workers to predictions and
`Result.details`."""
