"""Barlow Twins (Zbontar et al. 2021, arXiv 2103.03230): dimensions of z that agree and differ.

With z1, z2 standardized over the batch, and λ the weight of the off-diagonal (its equation 1)::

    C = z1ᵀ z2 / N
    loss = sum over i: (1 - C_ii)² + λ sum over i ≠ j: C_ij²
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
    second_moments,
    share,
)
from keras_simsiam.models.parts import output_dim


@keras.saving.register_keras_serializable("keras_simsiam")
class BarlowTwins(JointEmbedding):
    """Makes each dimension of z equal between views, and independent of the other dimensions.

    The change from SimSiam: dimensions are compared over the batch, not images; neither a
    predictor nor a stop-gradient is needed.

    Args:
        backbone: Any built `keras.Model` from images to vectors ``[B, D]``.
        projector: From features to z ``[B, d]``; by default `heads.projector` of 8192 dimensions
            in three layers, without BatchNorm on the last, as the loss standardizes.
        off_diagonal: λ.
        augmentation: See `JointEmbedding`.
        image_size: See `JointEmbedding`.
        **kwargs: See `keras.Model`.
    """

    view_count = 2
    settings = ("off_diagonal",)

    @checks_arguments
    def __init__(
        self,
        backbone: keras.Model,
        projector: keras.Model | None = None,
        off_diagonal: NonNegative = 5e-3,
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
        self.off_diagonal = off_diagonal

    def forward(self, views: tuple[tf.Tensor, ...], training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of a batch, and z1."""
        z1, z2 = (self.encode(x, training) for x in views)
        return barlow_twins_loss(z1, z2, self.off_diagonal), z1


def barlow_twins_loss(z1: tf.Tensor, z2: tf.Tensor, off_diagonal: float = 5e-3) -> tf.Tensor:
    """How far the cross-correlation of the whole batch is from the identity.

    Args:
        z1: ``[B, d]``.
        z2: ``[B, d]``.
        off_diagonal: λ.

    Returns:
        A scalar, at least float32.
    """
    diagonal, beside = second_moments(_standardized(z1), _standardized(z2), share(z1))
    return tf.reduce_sum(tf.square(diagonal - 1)) + off_diagonal * beside


def _standardized(z: tf.Tensor) -> tf.Tensor:
    """Mean 0 and variance 1 over the whole batch, with BatchNorm's 1e-5."""
    z = at_least_float32(z)
    part = share(z)
    z -= mean_over_replicas(tf.reduce_mean(z, axis=0), part)
    return z / tf.sqrt(mean_over_replicas(tf.reduce_mean(tf.square(z), axis=0), part) + 1e-5)
