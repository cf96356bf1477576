"""Classes of every image of a collection."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_simsiam.collection.sources import Source
from keras_simsiam.data.progress import Progress
from keras_simsiam.fine_tuning.exported import ExportedClassifier


class Predicted(NamedTuple):
    """The most probable classes of images.

    Attributes:
        positions: Those of the images that can be read, int64 ``[N]``, ascending.
        classes: Class numbers, int ``[N, k]``, the most probable first.
        probabilities: float32 ``[N, k]``.
    """

    positions: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray

    def known(self, source: Source, class_names: tuple[str, ...]) -> np.ndarray:
        """Whether each image that has a label is right, bool ``[n]``."""
        labels = source.labels or [""] * len(source)
        given = [(labels[i], class_names[c[0]]) for i, c in zip(*self[:2], strict=True)]
        return np.array([label == name for label, name in given if label], bool)


def predict(classifier: ExportedClassifier, source: Source, top: int = 1) -> Predicted:
    """The most probable classes of the images that can be read.

    What cannot be read is added to the `left_out` of the source.

    Args:
        classifier: See `load_classifier`.
        source: The images.
        top: Number of classes for each.

    Raises:
        InputError: If no image can be read.
    """
    found = []
    source = source.seen_by(classifier.preprocessing)
    say = Progress("classified", len(source))
    for positions, images in source.read(classifier.image_size, 0, len(source)):
        probabilities = np.asarray(classifier(images))
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
        found.append((positions, best, np.take_along_axis(probabilities, best, axis=1)))
        say(int(positions[-1]) + 1)
    if not found:
        raise source.none_read()
    predicted = Predicted(*(np.concatenate(column) for column in zip(*found, strict=True)))
    for i in np.setdiff1d(np.arange(len(source)), predicted.positions).tolist():
        source.left_out.add(f"unreadable, {source.why(i)}", source.names[i])
    return predicted
