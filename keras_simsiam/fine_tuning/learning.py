"""How a classifier learns: its linear layer from features, and the whole network by SGD."""

from __future__ import annotations

import keras
import numpy as np
import scipy.special
import tensorflow as tf

from keras_simsiam import _compat
from keras_simsiam.collection.labeling import fit_linear
from keras_simsiam.errors import TrainingDiverged
from keras_simsiam.evaluation import Encoder
from keras_simsiam.evaluation.features import crop_side, random_crops
from keras_simsiam.fine_tuning.classifier import Classifier
from keras_simsiam.fine_tuning.parts import Part
from keras_simsiam.fine_tuning_options import Learning
from keras_simsiam.preprocessing import Preprocessing

_STEPS = 200
"""The fewest steps of a training: a few labels need more epochs."""

_MOMENTUM = 0.9


class Learner:
    """Learns a classifier from labels, each time anew from the same initial network.

    The linear layer is fitted to the features of the initial network. A trained network goes on
    from there ("LP-FT", Kumar et al. 2022), with random crops and flips.

    Args:
        network: A model from normalized images to vectors. Its weights are trained.
        preprocessing: How images become its inputs.
        class_names: Names of the classes.
        settings: How to learn.

    Attributes:
        classifier: What was learned last.
        encoder: The initial network's features; not to be called after `learn`.
    """

    def __init__(
        self,
        network: keras.Model,
        preprocessing: Preprocessing,
        class_names: tuple[str, ...],
        settings: Learning,
    ):
        self.classifier = Classifier(network, preprocessing, class_names)
        self.encoder = Encoder.of(network, preprocessing)
        self._initial = [v.numpy() for v in network.variables]
        self._training = _Training(self.classifier, settings)
        self._trained = settings.network == "trained"

    def learn(self, part: Part) -> None:
        """Learns from images with features of the initial network."""
        for variable, value in zip(self.classifier.network.variables, self._initial, strict=True):
            variable.assign(value)
        mean, std = part.features.mean(axis=0, dtype="d"), part.features.std(axis=0, dtype="d")
        classes = len(self.classifier.class_names)
        found = fit_linear(part.features, part.truth, classes, mean, std)
        self.classifier.head.set_weights([found.kernel, found.bias])
        if self._trained:
            self._training.run(part)

    def probabilities(self, part: Part) -> np.ndarray:
        """Probabilities of the classes, float ``[N, C]``."""
        if not self._trained:
            kernel, bias = self.classifier.head.get_weights()
            return scipy.special.softmax(part.features @ kernel + bias, axis=1)
        batches = part.batches(self.encoder.image_size)
        return np.concatenate([self._training.predict(images) for images in batches])


class _Training:
    """Trains all weights of a classifier by SGD with momentum and cosine decay, as often as asked.

    Everything is traced once.
    """

    def __init__(self, classifier: Classifier, settings: Learning):
        self._classifier, self._settings = classifier, settings
        self._velocities: list[tf.Variable] = []
        self._predict = tf.function(classifier.__call__, reduce_retracing=True)
        self._step = tf.function(self._one_step)

    def run(self, part: Part) -> None:
        """Trains on images that are in memory."""
        settings, size = self._settings, self._classifier.preprocessing.image_size
        side, truth = crop_side(part.source.images, size), part.truth
        images, places = part.pixels[side], part.places
        if not self._velocities:
            self._crops = random_crops(side, size, settings.seed, images.shape[-1])
            self._variables = self._classifier.trainable_variables
            self._velocities = [tf.Variable(tf.zeros(v.shape)) for v in self._variables]
        for velocity in self._velocities:
            velocity.assign(tf.zeros_like(velocity))
        batch = min(settings.batch_size, len(truth))
        steps = len(truth) // batch
        epochs = max(settings.epochs, -(-_STEPS // steps))
        random = np.random.default_rng([settings.seed, 2])
        for epoch in range(epochs):
            order = random.permutation(len(truth))
            for i in range(steps):
                rows = order[i * batch : (i + 1) * batch]
                seen = self._crops(
                    images[places[rows]], tf.constant(rows), tf.constant(epoch, tf.int64)
                )
                decay = 0.5 * (1 + np.cos(np.pi * (epoch * steps + i) / (epochs * steps)))
                rate = tf.constant(decay * settings.learning_rate, tf.float32)
                loss = self._step(seen, tf.constant(truth[rows]), rate)
            if not np.isfinite(loss):
                raise TrainingDiverged(
                    f"the loss is not finite in epoch {epoch + 1}; lower the learning rate, "
                    f"{settings.learning_rate:g}"
                )

    def predict(self, images: np.ndarray | tf.Tensor) -> np.ndarray:
        """Probabilities of the classes of a batch of images, ``[B, C]``."""
        return self._predict(tf.constant(images)).numpy()

    def _one_step(self, images: tf.Tensor, truth: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        """Updates the weights; returns the loss."""
        with tf.GradientTape() as tape:
            logits = self._classifier.logits(images, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(truth, logits)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, [_compat.tensorflow_variable(v) for v in self._variables])
        for variable, gradient, velocity in zip(
            self._variables, gradients, self._velocities, strict=True
        ):
            if gradient is not None:  # of a part that does not lead to the features
                tf.raw_ops.ResourceApplyMomentum(
                    var=_compat.tensorflow_variable(variable).handle,
                    accum=velocity.handle,
                    lr=rate,
                    grad=gradient,
                    momentum=_MOMENTUM,
                )
        return loss
