"""SimCLR (Chen et al. 2020, arXiv 2002.05709): a view is to be told from all other images' views.

With f = projector ∘ backbone and τ the temperature (its Algorithm 1)::

    z1, z2 = f(x1), f(x2)
    loss = mean over the 2N views i, of which j is the partner:
        -log( exp(sim(z_i, z_j) / τ) / sum over k ≠ i: exp(sim(z_i, z_k) / τ) )
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, Unpack

import keras
import tensorflow as tf

from keras_simsiam import config
from keras_simsiam.config import Augmentation
from keras_simsiam.fields import Count, Positive, checks_arguments
from keras_simsiam.models import heads
from keras_simsiam.models.base import JointEmbedding, Length, ModelArguments
from keras_simsiam.models.objectives import normalized, of_whole_batch, own_rows
from keras_simsiam.models.parts import output_dim


@keras.saving.register_keras_serializable("keras_simsiam")
class SimCLR(JointEmbedding):
    """Contrastive learning with the other images of the batch as negatives.

    The change from SimSiam: the loss has negatives, and neither a predictor nor a stop-gradient is
    needed. SimSiam is "SimCLR without negatives" (SimSiam's paper, Section 6.2).

    Args:
        backbone: Any built `keras.Model` from images to vectors ``[B, D]``.
        projector: From features to z ``[B, d]``; by default `heads.projector` of 128 dimensions
            in two layers, without BatchNorm on the last.
        predictor: From z to the queries ``[B, d]``; None for z itself.
        temperature: τ.
        stop_gradient: Whether the keys z are constants.
        augmentation: See `JointEmbedding`.
        image_size: See `JointEmbedding`.
        **kwargs: See `keras.Model`.
    """

    view_count = 2

    @checks_arguments
    def __init__(
        self,
        backbone: keras.Model,
        projector: keras.Model | None = None,
        predictor: keras.Model | None = None,
        temperature: Positive = 0.1,
        stop_gradient: bool = False,
        augmentation: Augmentation | Sequence[Augmentation] | None = None,
        image_size: Count | None = None,
        **kwargs: Unpack[ModelArguments],
    ):
        projector = projector or heads.projector(
            output_dim(backbone), 128, layers=2, batch_norm="hidden"
        )
        parts = {"backbone": backbone, "projector": projector}
        if predictor is not None:
            parts["predictor"] = predictor
        super().__init__(parts, augmentation, image_size, **kwargs)
        self.temperature = temperature
        self.stop_gradient = stop_gradient

    def forward(self, views: tuple[tf.Tensor, ...], training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of a batch, and z1."""
        z1, z2 = (self.encode(x, training) for x in views)
        q1, q2 = z1, z2
        if "predictor" in self.parts:
            q1, q2 = (self.predictor(z, training=training) for z in (z1, z2))
        k1, k2 = (tf.stop_gradient(z) for z in (z1, z2)) if self.stop_gradient else (z1, z2)
        return nt_xent(q1, q2, k1, k2, self.temperature), z1

    @classmethod
    def from_settings(
        cls, settings: config.Model, backbone: keras.Model, length: Length, **kwargs: Any
    ) -> Self:
        """Builds the heads that the configuration describes, and the model."""
        return cls(
            backbone,
            heads.projector_of(settings, output_dim(backbone)),
            heads.predictor_of(settings) if settings.predictor != "none" else None,
            temperature=settings.temperature,
            stop_gradient=settings.stop_gradient,
            **kwargs,
        )

    def get_config(self) -> dict:
        """The arguments that make this model again, its networks included."""
        own = {"temperature": self.temperature, "stop_gradient": self.stop_gradient}
        return super().get_config() | own


def nt_xent(
    q1: tf.Tensor, q2: tf.Tensor, k1: tf.Tensor, k2: tf.Tensor, temperature: float
) -> tf.Tensor:
    """The cross-entropy of each query to the key of its image's other view, among all keys.

    The key of the query's own view is left out. Negatives are those of the whole batch.

    Args:
        q1: Queries of the first views, ``[B, d]``.
        q2: Queries of the second views.
        k1: Keys of the first views; SimCLR's are the queries.
        k2: Keys of the second views.
        temperature: τ, above 0.

    Returns:
        A scalar, at least float32.
    """
    q = tf.concat([normalized(q1), normalized(q2)], axis=0)
    keys = [of_whole_batch(normalized(k)) for k in (k1, k2)]
    count = tf.shape(keys[0])[0]
    logits = tf.matmul(q, tf.concat(keys, axis=0), transpose_b=True) / temperature
    rows = own_rows(q1)
    own, other = tf.concat([rows, rows + count], 0), tf.concat([rows + count, rows], 0)
    itself = tf.one_hot(own, 2 * count, on_value=True, off_value=False, dtype=tf.bool)
    logits = tf.where(itself, tf.constant(-float("inf"), logits.dtype), logits)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(other, logits))
