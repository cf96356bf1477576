"""The kNN accuracy of a model's features during its training (paper, Section 4.1)."""

from __future__ import annotations

import keras
import numpy as np

from keras_simsiam.data import ImagesLike, as_images
from keras_simsiam.errors import InputError
from keras_simsiam.evaluation import (
    Encoder,
    KNNAccuracy,
    extract,
    knn_accuracy,
    preprocessing_of,
)
from keras_simsiam.preprocessing import Preprocessing


class KNNMonitor(keras.callbacks.Callback):
    """Logs the kNN accuracy of a model's features as ``knn_top1``.

    It works in any `fit`, with any model from normalized images to vectors::

        monitor = KNNMonitor(train.images, train.labels, test.images, test.labels, every=5)
        model.fit(pairs, callbacks=[monitor], ...)

    It must precede callbacks that read the value, such as TensorBoard.

    Args:
        bank: Training images, see `keras_simsiam.data.load`.
        bank_labels: int ``[N]``.
        queries: Test images.
        query_labels: int ``[Q]``.
        every: Epochs between evaluations; the last epoch is always evaluated. 0 to evaluate the
            last epoch only.
        k: Number of neighbors that vote, at most the size of the bank.
        temperature: Temperature of the vote, see `keras_simsiam.knn_accuracy`.
        preprocessing: How images become the model's input. If None, the model's own
            `Preprocessing`; for a model that has none, ImageNet's mean and standard deviation at
            the size of the model's input or, if it takes any, of the bank's images.

    Attributes:
        latest: The last `KNNAccuracy`; None if the weights have changed since.
        epochs: Epochs of the whole training, if `fit` is called for parts of it.

    Raises:
        InputError: If there are no labels.
    """

    def __init__(
        self,
        bank: ImagesLike,
        bank_labels: np.ndarray | None,
        queries: ImagesLike,
        query_labels: np.ndarray | None,
        every: int = 1,
        k: int = 200,
        temperature: float = 0.1,
        preprocessing: Preprocessing | None = None,
    ):
        super().__init__()
        if bank_labels is None or query_labels is None:
            raise InputError("labels of bank and queries are required; got None")
        self.bank, self.bank_labels = as_images(bank), bank_labels
        self.queries, self.query_labels = as_images(queries), query_labels
        self.every = every
        self.k = min(k, len(bank))
        self.temperature = temperature
        self.preprocessing = preprocessing
        self.latest: KNNAccuracy | None = None
        self.epochs: int | None = None

    def evaluate(self, encoder: Encoder | None = None) -> KNNAccuracy:
        """The accuracy of the model's features now, or of another encoder's."""
        if encoder is None:
            size = self.bank.side()
            preprocessing = preprocessing_of(self.model, self.preprocessing, default_size=size)
            encoder = Encoder.of(self.model, preprocessing)
        bank, queries = (extract(encoder, images) for images in (self.bank, self.queries))
        return knn_accuracy(
            bank, self.bank_labels, queries, self.query_labels, self.k, self.temperature
        )

    def on_epoch_begin(self, epoch, logs=None):
        """Forgets the last accuracy, as the weights are about to change."""
        self.latest = None

    def on_epoch_end(self, epoch, logs=None):
        """Evaluates if it is time to."""
        due = self.every and (epoch + 1) % self.every == 0
        if due or epoch + 1 == (self.epochs or self.params["epochs"]):
            self.latest = self.evaluate()
            if logs is not None:
                logs["knn_top1"] = self.latest.top1
