"""BatchNorm as PyTorch computes it, in TensorFlow's fused kernel."""

from __future__ import annotations

import re
import warnings

import keras
import tensorflow as tf

from keras_simsiam import _compat
from keras_simsiam.models.parts import layers_of


def batch_norm(name: str, **kwargs) -> keras.layers.BatchNormalization:
    """PyTorch's BatchNorm, whose momentum of 0.1 is 0.9 in Keras.

    Created within the scope of a `tf.distribute.Strategy`, it sees the batch of all devices.
    """
    return BatchNormalization(
        momentum=0.9,
        epsilon=1e-5,
        # Only if needed: on one device the moments are more exact without it.
        synchronized=tf.distribute.get_strategy().num_replicas_in_sync > 1,
        name=name,
        **kwargs,
    )


def synchronize(model: keras.Model) -> None:
    """Makes all BatchNorm in a model see the batch of all devices, if there are several.

    A warning names the layers that only look as if they were BatchNorm, which are left as they are.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync < 2:
        return
    unknown = {}
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            _compat.synchronize(layer)
        elif re.search("batch_?norm", type(layer).__name__, re.IGNORECASE):
            unknown[type(layer).__name__] = layer.name
    for kind, name in unknown.items():
        warnings.warn(
            f"{kind} of the layer {name} is no keras.layers.BatchNormalization: it sees the images "
            "of one device, and not the whole batch",
            stacklevel=2,
        )


@keras.saving.register_keras_serializable("keras_simsiam")
class BatchNormalization(_compat.BatchNormalization):
    """Keras's layer, faster in training, and with PyTorch's running variances.

    Training on one device is one operation each way, where Keras 3 makes a dozen. The running
    variance averages the unbiased variances of batches, as PyTorch's does. Inputs are
    ``[B, C]`` or ``[B, H, W, C]``; arguments, weights and inference are those of
    `keras.layers.BatchNormalization` with ``axis=-1``.
    """

    def call(self, inputs, training=None, mask=None):
        """Normalizes a batch: in training by its own moments, otherwise by the running ones."""
        if not (training and self.trainable):
            return super().call(inputs, training=False, mask=mask)
        x = tf.cast(inputs, self.compute_dtype)
        # The kernel knows no float64, and one device alone.
        normalize = self._composed if self.synchronized or x.dtype == tf.float64 else self._fused
        y, mean, variance = normalize(x)
        for running, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            kept = tf.convert_to_tensor(running) * self.momentum
            running.assign(kept + value * (1.0 - self.momentum))
        return y

    def _fused(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The normalized batch, its mean and its unbiased variance."""
        channels = x.shape[-1]
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x if x.shape.rank == 4 else tf.reshape(x, [-1, 1, 1, channels]),
            scale=tf.convert_to_tensor(self.gamma) if self.scale else tf.ones(channels),
            offset=tf.convert_to_tensor(self.beta) if self.center else tf.zeros(channels),
            mean=tf.zeros(0),
            variance=tf.zeros(0),
            epsilon=self.epsilon,
        )
        return tf.reshape(y, tf.shape(x)), mean, variance

    def _composed(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """`_fused`, of the batch of all devices, or in float64."""
        wide = tf.cast(x, tf.float32) if x.dtype.size < 4 else x
        mean, variance, count = _moments(wide, self.synchronized)
        y = tf.nn.batch_normalization(
            wide,
            mean,
            variance,
            tf.convert_to_tensor(self.beta) if self.center else None,
            tf.convert_to_tensor(self.gamma) if self.scale else None,
            self.epsilon,
        )
        return tf.cast(y, x.dtype), mean, variance * count / tf.maximum(count - 1, 1)


def _moments(x: tf.Tensor, synchronized: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mean and variance ``[C]`` of ``[..., C]``, and the number of values of a channel."""
    axes = list(range(x.shape.rank - 1))
    count = tf.cast(tf.size(x) // x.shape[-1], x.dtype)
    context = tf.distribute.get_replica_context()
    if not synchronized or context is None:
        return *tf.nn.moments(x, axes), count
    sums = [tf.reduce_sum(x, axes), tf.reduce_sum(tf.square(x), axes), count[tf.newaxis]]
    # One message between the devices, not three.
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.concat(sums, 0))
    total, total_of_squares, count = tf.split(total, [x.shape[-1], x.shape[-1], 1])
    mean = total / count
    return mean, tf.maximum(total_of_squares / count - tf.square(mean), 0), count
