"""Fine-tuning, and how accurate it is with few labels and many, beside simpler ways."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

import keras
import numpy as np

from keras_simsiam.collection.encoders import find_model, with_random_weights
from keras_simsiam.collection.sources import Source
from keras_simsiam.environment import check_memory
from keras_simsiam.evaluation import Encoder, knn_predict, preprocessing_of
from keras_simsiam.evaluation.averages import settle
from keras_simsiam.evaluation.features import crop_side
from keras_simsiam.fields import Bounds, Count, checks_arguments
from keras_simsiam.fine_tuning.classifier import Classifier
from keras_simsiam.fine_tuning.labeled import Labeled, find_labeled, folds
from keras_simsiam.fine_tuning.learning import Learner
from keras_simsiam.fine_tuning.parts import Part
from keras_simsiam.fine_tuning_options import Learning
from keras_simsiam.models.base import network_of
from keras_simsiam.preprocessing import Preprocessing

_NEIGHBORS = 200


class Result(NamedTuple):
    """The accuracy with a share of the labels, and that of simpler ways, each in [0, 1].

    Attributes:
        labels: Number of labels that were learned from; the mean over folds, if there are any.
        accuracy: Of the classifier.
        random: Of one that started from random weights.
        knn: Of a vote of the nearest neighbors among the labeled images.
        knn_random: The same with random weights.
    """

    labels: int
    accuracy: float
    random: float
    knn: float
    knn_random: float


class Tested(NamedTuple):
    """Images that the classifier was tested on, and what it says of them.

    Attributes:
        source: The images.
        truth: Class numbers, int ``[N]``.
        predicted: int ``[N]``.
        confidence: float ``[N]``, the probability of the predicted class.
    """

    source: Source
    truth: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray

    def mistakes(self) -> np.ndarray:
        """Rows of the images that are classified wrongly, the most confident first."""
        wrong = np.flatnonzero(self.predicted != self.truth)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")]


class FineTuned(NamedTuple):
    """A classifier and how accurate it is.

    Attributes:
        classifier: Learned from all the labels of the largest share.
        results: One for each share of the labels, ascending.
        tested: What it says of the test images; or, if there are none, what classifiers that were
            learned without them say of the labeled images, fold by fold.
        folds: In how many parts the labeled images were tested in turn; 0 if there are test images.
        left_out: Names of images that cannot be read.
    """

    classifier: Classifier
    results: list[Result]
    tested: Tested
    folds: int
    left_out: list[str]


@checks_arguments
def fine_tune(
    model: keras.Model | str | os.PathLike,
    images: Labeled | str | os.PathLike,
    labels: Mapping[str, str] | None = None,
    shares: Annotated[tuple[float, ...], Bounds(above=0, at_most=1)] = (1.0,),
    image_size: Count | None = None,
    progress: Callable[[str], None] = lambda text: None,
    **settings: Any,
) -> FineTuned:
    """Learns a classifier from labels, on top of features that were learned without them.

    ::

        found = ks.fine_tune("saved_models/mine", "folder:photos", {"a.jpg": "cat", "b.jpg": "dog"})
        found.results[-1].accuracy
        found.classifier.predict(images)  # uint8 [N, H, W, C] to probabilities [N, C]

    Args:
        model: A method's model, any model from normalized images to vectors, or what `find_model`
            takes. A model that is given is trained itself.
        images: "folder:PATH" or a folder, or the name of another dataset; or what `find_labeled`
            returns.
        labels: See `find_labeled`.
        shares: Shares of the labels to learn from, at least one image of each class.
        image_size: See `find_model`.
        progress: Is called with what is done next.
        **settings: How to learn, see `Learning`, such as ``network="trained"`` to train the whole
            network and not only a linear classifier of its features.

    Returns:
        The classifier with its accuracy. The same seed gives the same one, on the same machine
        with deterministic operations.

    Raises:
        InputError: If there is no such model, or labels are missing or of fewer than two classes.
        TrainingDiverged: If the loss is not finite.
    """
    learning = Learning(**settings)
    if not isinstance(images, Labeled):
        images = find_labeled(images, labels)
    if isinstance(model, keras.Model):
        preprocessing = preprocessing_of(model, image_size)
    else:
        model, preprocessing = find_model(model, image_size, images.train.images.channels)
    images, preprocessing = images.seen_by(preprocessing)
    sides: list[int] = []
    if learning.network == "trained":
        sides = _sides(images, preprocessing)
    settle(model, images.train.images, preprocessing)
    network = network_of(model)
    random = with_random_weights(network, learning.seed)
    own, other = (
        Learner(n, preprocessing, images.class_names, learning) for n in (network, random)
    )
    progress("features")
    parts, left_out = _parts(own.encoder, images)
    parts[0] = parts[0].in_memory(*sides)
    rounds = _rounds(parts, learning.seed)
    baseline = _rounds([part.seen_by(other.encoder) for part in parts], learning.seed)
    results = []
    for share in sorted({*shares}):
        progress(f"{share:.4g} of the labels")
        used = [
            [(learned.share(share, learning.seed), asked) for learned, asked in each]
            for each in (rounds, baseline)
        ]
        tested, without = (
            _test(learner, pairs, parts[-1].source)
            for learner, pairs in zip((own, other), used, strict=True)
        )
        accuracies = [float((t.predicted == t.truth).mean()) for t in (tested, without)]
        count = round(np.mean([len(learned.truth) for learned, _ in used[0]]))
        results.append(Result(count, *accuracies, *map(_knn_accuracy, used)))
    progress("the classifier")
    own.learn(parts[0].share(max(shares), learning.seed))
    folds = 0 if images.test is not None else len(rounds)
    return FineTuned(own.classifier, results, tested, folds, left_out)


_Round = tuple[Part, Part]
"""The images that are learned from, and those that are asked about then."""


def _sides(images: Labeled, preprocessing: Preprocessing) -> list[int]:
    """Sides in pixels of the labeled images that a trained network needs in memory.

    Raises:
        InputError: If memory does not suffice.
    """
    size, source = preprocessing.image_size, images.train
    side = crop_side(source.images, size)
    sides = [side] if images.test is not None else [*{side, size}]
    check_memory(
        f"labeled images of {side}×{side} pixels",
        len(source),
        sum(s * s for s in sides) * preprocessing.channels,
        "--network frozen holds none in memory",
    )
    return sides


def _parts(encoder: Encoder, images: Labeled) -> tuple[list[Part], list[str]]:
    """The images to learn from, the test images if there are any, and what cannot be read."""
    sources = [source for source in (images.train, images.test) if source is not None]
    parts = [Part.of(encoder, source, images.numbers(source)) for source in sources]
    return parts, [
        name
        for source, part in zip(sources, parts, strict=True)
        if len(part.truth) < len(source)
        for name in sorted({*source.names} - {*part.source.names})
    ]


def _rounds(parts: list[Part], seed: int) -> list[_Round]:
    if len(parts) == 2:
        return [(parts[0], parts[1])]
    (part,) = parts
    rounds = []
    for rows in folds(part.truth, seed):
        others = np.setdiff1d(np.arange(len(part.truth)), rows)
        rounds.append((part.rows(others), part.rows(rows)))
    return rounds


def _test(learner: Learner, rounds: list[_Round], whole: Source) -> Tested:
    """What a learner says in all rounds, one after another, of images of `whole`."""
    found = []
    for learned, asked in rounds:
        learner.learn(learned)
        found.append(learner.probabilities(asked))
    probabilities = np.concatenate(found)
    source = whole.only([name for _, asked in rounds for name in asked.source.names])
    truth = np.concatenate([asked.truth for _, asked in rounds])
    return Tested(source, truth, probabilities.argmax(axis=1), probabilities.max(axis=1))


def _knn_accuracy(rounds: list[_Round]) -> float:
    right = [
        knn_predict(
            learned.features, learned.truth, asked.features, min(_NEIGHBORS, len(learned.truth))
        )[:, 0]
        == asked.truth
        for learned, asked in rounds
    ]
    return float(np.concatenate(right).mean())
