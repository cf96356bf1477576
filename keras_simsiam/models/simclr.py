"""SimCLR (Chen et al. 2020, arXiv 2002.05709): a view is to be told from all other images' views.

With f = projector ∘ backbone and τ the temperature (its Algorithm 1)::

    z1, z2 = f(x1), f(x2)
    loss = mean over the 2N views i, of which j is the partner:
        -log( exp(sim(z_i, z_j) / τ) / sum over k ≠ i: exp(sim(z_i, z_k) / τ) )
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import keras
import tensorflow as tf

from keras_simsiam import config
from keras_simsiam.augmentation import Augmentation
from keras_simsiam.errors import check_choice
from keras_simsiam.fields import Count, Positive, checks_arguments, choices
from keras_simsiam.models import heads
from keras_simsiam.models.base import JointEmbedding, ModelArguments
from keras_simsiam.models.objectives import (
    negative_cosine_similarity,
    normalized,
    of_whole_batch,
    own_rows,
)
from keras_simsiam.models.parts import output_dim


@keras.saving.register_keras_serializable("keras_simsiam")
class SimCLR(JointEmbedding):
    """Contrastive learning with the other images of the batch as negatives.

    The change from SimSiam: the loss has negatives, and neither a predictor nor a stop-gradient is
    needed. SimSiam is "SimCLR without negatives" (SimSiam's paper, Section 6.2).

    Args:
        backbone: Any built `keras.Model` from images to vectors ``[B, D]``.
        projector: From features to z ``[B, d]``; by default `heads.projector` of 128 dimensions
            in two layers, as in the authors' code.
        predictor: From z to the queries ``[B, d]``; None for z itself.
        temperature: τ.
        negatives: What the key of the other view is told from: the keys of "both_views" of the
            other images, as SimCLR does; those of the "other_view", as MoCo v3 (arXiv 2104.02057)
            does; or "none". Then the loss is -sim(z_i, z_j) / τ, which is SimSiam's if there are a
            predictor and a stop-gradient, and collapses if there are not.
        stop_gradient: Whether the keys z are constants.
        augmentation: See `JointEmbedding`.
        image_size: See `JointEmbedding`.
        **kwargs: See `keras.Model`.
    """

    predictor: keras.Model
    view_count = 2
    settings = ("temperature", "negatives", "stop_gradient")

    @checks_arguments
    def __init__(
        self,
        backbone: keras.Model,
        projector: keras.Model | None = None,
        predictor: keras.Model | None = None,
        temperature: Positive = 0.1,
        negatives: str = "both_views",
        stop_gradient: bool = False,
        augmentation: Augmentation | Sequence[Augmentation] | None = None,
        image_size: Count | None = None,
        **kwargs: Unpack[ModelArguments],
    ):
        check_choice("negatives", negatives, choices(config.Model, "negatives"))
        projector = projector or heads.projector(
            output_dim(backbone), 128, layers=2, batch_norm="all"
        )
        predictor = predictor or heads.no_predictor(output_dim(projector, "projector"))
        parts = {"backbone": backbone, "projector": projector, "predictor": predictor}
        super().__init__(parts, augmentation, image_size, **kwargs)
        self.temperature = temperature
        self.negatives = negatives
        self.stop_gradient = stop_gradient

    def forward(self, views: tuple[tf.Tensor, ...], training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of a batch, and z1."""
        z1, z2 = (self.encode(x, training) for x in views)
        q1, q2 = (self.predictor(z, training=training) for z in (z1, z2))
        k1, k2 = (tf.stop_gradient(z) for z in (z1, z2)) if self.stop_gradient else (z1, z2)
        return nt_xent(q1, q2, k1, k2, self.temperature, self.negatives), z1


def nt_xent(
    q1: tf.Tensor,
    q2: tf.Tensor,
    k1: tf.Tensor,
    k2: tf.Tensor,
    temperature: float,
    negatives: str = "both_views",
) -> tf.Tensor:
    """The cross-entropy of each query to the key of its image's other view, among all keys.

    Args:
        q1: Queries of the first views, ``[B, d]``.
        q2: Queries of the second views.
        k1: Keys of the first views; SimCLR's are the queries.
        k2: Keys of the second views.
        temperature: τ, above 0.
        negatives: What the key is told from, see `SimCLR`; those of the whole batch.

    Returns:
        A scalar, at least float32.
    """
    if negatives == "none":
        alike = negative_cosine_similarity(q1, k2) + negative_cosine_similarity(q2, k1)
        return alike / 2 / temperature
    q = tf.concat([normalized(q1), normalized(q2)], axis=0)
    keys = [of_whole_batch(normalized(k)) for k in (k1, k2)]
    count = tf.shape(keys[0])[0]
    logits = tf.matmul(q, tf.concat(keys, axis=0), transpose_b=True) / temperature
    rows = own_rows(q1)
    own, other = tf.concat([rows, rows + count], 0), tf.concat([rows + count, rows], 0)
    left_out = own[:, None] == tf.range(2 * count)
    if negatives == "other_view":
        left_out = (own[:, None] < count) == (tf.range(2 * count) < count)
    logits = tf.where(left_out, tf.constant(-float("inf"), logits.dtype), logits)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(other, logits))
