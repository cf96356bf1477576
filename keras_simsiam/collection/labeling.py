"""Classes of all images from a few labels: a linear classifier with exact leave-one-out scores."""

from __future__ import annotations

import csv
import os
from typing import NamedTuple

import numpy as np
import scipy.special

from keras_simsiam.arrays import as_features
from keras_simsiam.errors import InputError, shown
from keras_simsiam.fields import checks_arguments
from keras_simsiam.files import spreadsheet_value

_PENALTIES = np.logspace(-4, 2, 13)
"""Tried penalties of the weights, times the mean squared singular value of the features."""

_SHARPNESS = np.logspace(-1, 2, 31)
"""Tried factors of the scores, whose softmax is the confidence."""


class Predictions(NamedTuple):
    """Predicted classes.

    Attributes:
        classes: Names of the classes, sorted.
        predicted: int ``[N]``, indices into `classes`.
        confidence: float ``[N]``, the estimated probability that the prediction is right.
        accuracy: The share of the labeled images that are right if each is left out in turn.
    """

    classes: tuple[str, ...]
    predicted: np.ndarray
    confidence: np.ndarray
    accuracy: float


@checks_arguments
def predict_labels(features: np.ndarray, labels: dict[int, str]) -> Predictions:
    """Predicts the class of every image from the labels of a few.

    The classifier is ridge regression on standardized features. What it says of an image that is
    left out is known without fitting it again; the penalty is the one with the smallest such error,
    and the confidence is the softmax that fits these scores best.

    Args:
        features: float ``[N, D]``.
        labels: Names of classes by row; at least two classes.

    Raises:
        InputError: If features or labels are invalid.
    """
    features = as_features(features)
    classes = tuple(sorted(set(labels.values())))
    if len(classes) < 2:
        raise InputError(f"labels must have at least two classes; got {shown(list(classes))}")
    rows = np.array(sorted(labels))
    if rows[0] < 0 or rows[-1] >= len(features):
        raise InputError(f"labels must be of rows below {len(features)}; got {shown(rows[-1])}")
    truth = np.array([classes.index(labels[i]) for i in rows])
    mean, std = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    found = fit_linear(features[rows], truth, len(classes), mean, std)
    logits = features @ found.kernel + found.bias
    confidence = scipy.special.softmax(logits, axis=1).max(axis=1)
    accuracy = float((found.left_out.argmax(axis=1) == truth).mean())
    return Predictions(classes, logits.argmax(axis=1), confidence, accuracy)


class Linear(NamedTuple):
    """A linear classifier.

    Attributes:
        kernel: float64 ``[D, C]``; the logits are ``features @ kernel + bias``.
        bias: float64 ``[C]``.
        left_out: float64 ``[n, C]``, the logits of each labeled image if it is left out.
    """

    kernel: np.ndarray
    bias: np.ndarray
    left_out: np.ndarray


def fit_linear(
    features: np.ndarray, truth: np.ndarray, classes: int, mean: np.ndarray, std: np.ndarray
) -> Linear:
    """Ridge regression on standardized features, with logits that are well calibrated.

    Args:
        features: float ``[n, D]``.
        truth: Class numbers ``[n]``.
        classes: Number of classes, C.
        mean: float ``[D]``, subtracted from the features.
        std: float ``[D]``, by which they are divided.
    """
    std = np.maximum(std, 1e-3 * std.max() + 1e-12)  # features that hardly vary count little
    inputs = (features.astype(np.float64) - mean) / std
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)  # for the intercept
    weights, left_out = _ridge(inputs, np.eye(classes)[truth])
    sharpness = _sharpness(left_out, truth)
    kernel = sharpness * weights[:-1] / std[:, None]
    return Linear(kernel, sharpness * weights[-1] - mean @ kernel, sharpness * left_out)


def _ridge(inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weights ``[D, C]``, and the scores ``[n, C]`` of each row if it is left out."""
    left, values, right = np.linalg.svd(inputs, full_matrices=False)
    projected = left.T @ targets
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for penalty in _PENALTIES * (values**2).mean():
        shrunk = values**2 / (values**2 + penalty)
        fitted = left @ (shrunk[:, None] * projected)
        leverage = (left**2 @ shrunk)[:, None]
        left_out = targets - (targets - fitted) / np.maximum(1 - leverage, 1e-9)
        error = float(((targets - left_out) ** 2).mean())
        if best is None or error < best[0]:
            weights = right.T @ ((values / (values**2 + penalty))[:, None] * projected)
            best = error, weights, left_out
    assert best is not None
    return best[1:]


def _sharpness(scores: np.ndarray, truth: np.ndarray) -> float:
    """The factor of the scores whose softmax gives the true classes the largest likelihood."""
    rows = np.arange(len(truth))
    return max(
        _SHARPNESS, key=lambda s: scipy.special.log_softmax(s * scores, axis=1)[rows, truth].sum()
    )


def read_labels(path: str | os.PathLike) -> dict[str, str]:
    """Labels by the name of the image, from a CSV file with the columns name and label.

    Raises:
        InputError: If the file cannot be read, or labels an image twice.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = [row for row in csv.reader(file) if row]
    except OSError as e:
        raise InputError(f"cannot read '{path}': {e.strerror}") from e
    except csv.Error as e:
        raise InputError(f"'{path}' must be a CSV file: {e}") from e
    if [cell.strip().lower() for cell in rows[0][:2]] == ["name", "label"] if rows else False:
        del rows[0]
    labels: dict[str, str] = {}
    for row in rows:
        if len(row) != 2 or not row[1]:
            raise InputError(f"'{path}' must have a name and a label in each row; got {shown(row)}")
        name, label = map(spreadsheet_value, row)
        if labels.setdefault(name, label) != label:
            raise InputError(f"'{path}' must label each image once; got {shown(name)} twice")
    return labels
