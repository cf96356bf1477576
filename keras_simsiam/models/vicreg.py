"""VICReg (Bardes et al. 2022, arXiv 2105.04906): invariance, variance and covariance.

With s(z) the standard deviations and C(z) the covariances of z over the batch (equations 1 to 6)::

    loss = λ mean((z1 - z2)²)
         + μ sum over z in (z1, z2): mean(relu(1 - s(z))) / 2
         + ν sum over z in (z1, z2): sum over i ≠ j: C(z)_ij² / d
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import keras
import tensorflow as tf

from keras_simsiam.augmentation import Augmentation
from keras_simsiam.fields import Count, NonNegative, checks_arguments
from keras_simsiam.models import heads
from keras_simsiam.models.base import JointEmbedding, ModelArguments
from keras_simsiam.models.objectives import (
    at_least_float32,
    mean_over_replicas,
    replicas,
    second_moments,
    share,
)
from keras_simsiam.models.parts import output_dim


@keras.saving.register_keras_serializable("keras_simsiam")
class VICReg(JointEmbedding):
    """Makes views agree while each dimension of z keeps its spread and its independence.

    The change from SimSiam: two terms of the loss forbid collapse by themselves; neither a
    predictor nor a stop-gradient is needed.

    Args:
        backbone: Any built `keras.Model` from images to vectors ``[B, D]``.
        projector: From features to z ``[B, d]``; by default `heads.projector` of 8192 dimensions
            in three layers, without BatchNorm on the last.
        invariance: λ.
        variance: μ.
        covariance: ν.
        augmentation: See `JointEmbedding`.
        image_size: See `JointEmbedding`.
        **kwargs: See `keras.Model`.
    """

    view_count = 2
    settings = ("invariance", "variance", "covariance")

    @checks_arguments
    def __init__(
        self,
        backbone: keras.Model,
        projector: keras.Model | None = None,
        invariance: NonNegative = 25.0,
        variance: NonNegative = 25.0,
        covariance: NonNegative = 1.0,
        augmentation: Augmentation | Sequence[Augmentation] | None = None,
        image_size: Count | None = None,
        **kwargs: Unpack[ModelArguments],
    ):
        projector = projector or heads.projector(
            output_dim(backbone), 8192, 8192, batch_norm="hidden"
        )
        super().__init__(
            {"backbone": backbone, "projector": projector}, augmentation, image_size, **kwargs
        )
        self.invariance, self.variance, self.covariance = invariance, variance, covariance

    def forward(self, views: tuple[tf.Tensor, ...], training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of a batch, and z1."""
        z1, z2 = (self.encode(x, training) for x in views)
        return vicreg_loss(z1, z2, self.invariance, self.variance, self.covariance), z1


def vicreg_loss(
    z1: tf.Tensor,
    z2: tf.Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> tf.Tensor:
    """The weighted sum of the three terms, with the statistics of the whole batch.

    Args:
        z1: ``[B, d]``.
        z2: ``[B, d]``.
        invariance: λ.
        variance: μ.
        covariance: ν.

    Returns:
        A scalar, at least float32.
    """
    z1, z2 = at_least_float32(z1), at_least_float32(z2)
    total = invariance * tf.reduce_mean(tf.square(z1 - z2))
    local, part = tf.cast(tf.shape(z1)[0], z1.dtype), share(z1)
    whole = local / tf.cast(part, z1.dtype) * replicas()
    unbiased = whole / (whole - 1)
    for z in (z1, z2):
        z -= mean_over_replicas(tf.reduce_mean(z, axis=0), part)
        variances, squares = second_moments(z, z, part)
        spread = tf.reduce_mean(tf.nn.relu(1 - tf.sqrt(unbiased * variances + 1e-4)))
        total += variance * spread / 2
        total += covariance * unbiased**2 * squares / tf.cast(tf.shape(z)[1], z.dtype)
    return total
