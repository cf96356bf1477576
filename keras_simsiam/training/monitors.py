"""Measures the kNN accuracy of a model's features during training (paper, Section 4.1)."""

from __future__ import annotations

import keras
import numpy as np

from keras_simsiam.arrays import as_labels, first_not_finite
from keras_simsiam.data import ImagesLike, as_images
from keras_simsiam.errors import InputError, TrainingDiverged
from keras_simsiam.evaluation import (
    Encoder,
    KNNAccuracy,
    extract,
    knn_accuracy,
    preprocessing_of,
    room,
)
from keras_simsiam.evaluation.averages import settled
from keras_simsiam.fields import Count, Index, Positive, checks_arguments
from keras_simsiam.models.base import network_of
from keras_simsiam.preprocessing import Preprocessing, channels_of
from keras_simsiam.workers import ALONE, Workers


class KNNMonitor(keras.callbacks.Callback):
    """Logs the kNN accuracy of a model's features as ``knn_top1``.

    It works in any `fit`, with any model from normalized images to vectors::

        monitor = KNNMonitor(train.images, train.labels, test.images, test.labels, every=5)
        model.fit(pairs, callbacks=[monitor], ...)

    It must come before callbacks that read the value, such as TensorBoard.

    Args:
        bank: Training images: uint8 ``[N, H, W, 3]``, or the ``images`` of a dataset from
            `keras_simsiam.load`.
        bank_labels: Class numbers ``[N]``, see `keras_simsiam.arrays.as_labels`.
        queries: Test images, of the same kinds.
        query_labels: Class numbers ``[Q]``.
        every: Epochs between evaluations; 0 to evaluate only after the last epoch, which is always
            evaluated.
        k: Number of neighbors that vote, at most the size of the bank.
        temperature: Temperature of the vote, see `keras_simsiam.knn_accuracy`.
        preprocessing: How images become the model's input. If None, the model's own
            `Preprocessing`; an image size replaces that of the model's own. A model without one
            gets ImageNet's mean and std, and the size of its input or, if it takes images of any
            size, of the bank's images.

    Attributes:
        latest: The last `KNNAccuracy`; None if the weights have changed since.
        epochs: Epochs of the whole training; None if that is what `fit` is called for.
        workers: The processes that evaluate together after an epoch, each of which must have the
            monitor among its callbacks; by default this one alone.

    Raises:
        InputError: If images are not uint8, labels are missing or not class numbers, or a number is
            out of range; by `set_model`, if neither memory nor the disk has room for the features.
    """

    @checks_arguments
    def __init__(
        self,
        bank: ImagesLike,
        bank_labels: np.ndarray | None,
        queries: ImagesLike,
        query_labels: np.ndarray | None,
        every: Index = 1,
        k: Count = 200,
        temperature: Positive = 0.1,
        preprocessing: Preprocessing | Count | None = None,
    ):
        super().__init__()
        channels = channels_of(preprocessing, bank)
        self.bank = as_images(bank, "bank", channels)
        self.queries = as_images(queries, "queries", channels)
        self.bank_labels = as_labels(bank_labels, len(self.bank), "bank_labels")
        self.query_labels = as_labels(query_labels, len(self.queries), "query_labels")
        self.every = every
        self.k = min(k, len(self.bank))
        self.temperature = temperature
        self.preprocessing = preprocessing
        self.latest: KNNAccuracy | None = None
        self.epochs: int | None = None
        self.workers: Workers = ALONE

    def set_model(self, model):
        """Takes the model of `fit`, and checks that there is room for its features."""
        super().set_model(model)
        shape = getattr(network_of(model), "output_shape", None)  # a subclassed model has none
        if isinstance(shape, tuple) and isinstance(shape[-1], int):
            room.check(len(self.bank) // self.workers.count + len(self.queries), shape[-1])

    def sampled(self, bank: int, queries: int) -> KNNMonitor:
        """A monitor of evenly spaced images, at most so many of the bank and of the queries."""
        b, q = -(-len(self.bank) // bank), -(-len(self.queries) // queries)
        return KNNMonitor(
            self.bank.every(b),
            self.bank_labels[::b],
            self.queries.every(q),
            self.query_labels[::q],
            self.every,
            self.k,
            self.temperature,
            self.preprocessing,
        )

    @checks_arguments
    def evaluate(self, encoder: Encoder | None = None, workers: Workers = ALONE) -> KNNAccuracy:
        """The kNN accuracy of the model's features now, or of another encoder's.

        Args:
            encoder: The encoder; if None, that of the model.
            workers: The processes that evaluate it together, and must all call this.

        Raises:
            InputError: If there is neither a model nor an encoder.
            TrainingDiverged: If features are not finite.
        """
        if encoder is None:
            if self.model is None:
                raise InputError("encoder is required before the monitor is given to fit; got None")
            size = self.bank.side()
            preprocessing = preprocessing_of(self.model, self.preprocessing, default_size=size)
            with settled(self.model, self.bank, preprocessing):
                return self.evaluate(Encoder.of(self.model, preprocessing), workers)
        workers = workers.sharing(len(self.bank))
        with workers.agreed():
            bank = extract(encoder, self.bank.of_worker(workers))
        queries = extract(encoder, self.queries, workers)
        finite = not any(first_not_finite(features) for features in (bank, queries))
        if not workers.gather(np.array([finite], np.int32)).all():
            raise TrainingDiverged("the features of whole images are no longer finite")
        return knn_accuracy(
            bank, self.bank_labels, queries, self.query_labels, self.k, self.temperature, workers
        )

    def on_epoch_begin(self, epoch, logs=None):
        """Forgets the last accuracy, as the weights are about to change."""
        self.latest = None

    def on_epoch_end(self, epoch, logs=None):
        """Evaluates if it is time to."""
        due = self.every and (epoch + 1) % self.every == 0
        if due or epoch + 1 == (self.epochs or self.params["epochs"]):
            self.latest = self.evaluate(workers=self.workers)
            if logs is not None:
                logs["knn_top1"] = self.latest.top1
