"""MoCo (He et al. 2020, arXiv 1911.05722; v2: arXiv 2003.04297): a queue of negatives.

With the weights ξ of the target a slow average of the trained θ, and τ the temperature::

    q1, q2 = f_θ(x1), f_θ(x2)
    k1, k2 = f_ξ(x1), f_ξ(x2)
    loss = InfoNCE(q1, k2) / 2 + InfoNCE(q2, k1) / 2
    InfoNCE(q, k) = -log( exp(q·k / τ) / (exp(q·k / τ) + sum over the queue: exp(q·n / τ)) )
    ξ = m ξ + (1 - m) θ; the queue's oldest keys give way to k1 and k2

Both views are queries, as in SimSiam's comparison (its Table 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

import keras
import tensorflow as tf

from keras_simsiam import _compat
from keras_simsiam.augmentation import Augmentation
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Bounds, Count, Positive, checks_arguments
from keras_simsiam.models import heads
from keras_simsiam.models.base import JointEmbedding, ModelArguments
from keras_simsiam.models.objectives import normalized, of_whole_batch
from keras_simsiam.models.parts import output_dim
from keras_simsiam.models.targets import TargetNetwork
from keras_simsiam.target_rules import TargetRule


@keras.saving.register_keras_serializable("keras_simsiam")
class MoCo(JointEmbedding):
    """Momentum contrast, version 2: contrastive learning whose negatives outlast the batch.

    The change from SimSiam: the keys are a momentum encoder's, a queue of earlier keys is what
    they are told from, and there is no predictor.

    On one device, BatchNorm can leak which key belongs to which query, because both were
    normalized by statistics of the same images; the authors shuffle images between GPUs. Watch
    the kNN accuracy rather than the loss.

    Args:
        backbone: Any built `keras.Model` from images to vectors ``[B, D]``.
        projector: From features to z ``[B, d]``; by default `heads.projector` of 128 dimensions
            in two layers, without BatchNorm.
        temperature: τ.
        queue: Number of keys in the queue, at least two per image of a batch.
        target: How the momentum encoder follows, see `SimSiam`; not "self".
        steps: Steps of the whole training, required with a target "cosine".
        augmentation: See `JointEmbedding`.
        image_size: See `JointEmbedding`.
        **kwargs: See `keras.Model`.

    Raises:
        InputError: If the target is "self" or not a rule, or a batch has more keys than the queue.
    """

    view_count = 2
    settings = ("temperature", "queue", "target", "steps")
    targets: TargetNetwork

    @checks_arguments
    def __init__(
        self,
        backbone: keras.Model,
        projector: keras.Model | None = None,
        temperature: Positive = 0.2,
        queue: Annotated[int, Bounds(at_least=4)] = 65536,
        target: str = "momentum:0.999",
        steps: Count | None = None,
        augmentation: Augmentation | Sequence[Augmentation] | None = None,
        image_size: Count | None = None,
        **kwargs: Unpack[ModelArguments],
    ):
        projector = projector or heads.projector(
            output_dim(backbone), 128, layers=2, batch_norm="none"
        )
        super().__init__(
            {"backbone": backbone, "projector": projector}, augmentation, image_size, **kwargs
        )
        self.temperature, self.queue = temperature, queue
        self.target, self.steps = target, steps
        rule = TargetRule.parse(target)
        if rule is None or rule.kind == "images":
            raise InputError(
                f"target must be a network of its own, such as momentum:0.999; got '{target}'"
            )
        self.targets = TargetNetwork(backbone, projector, rule, steps)
        shape, add = (queue, output_dim(projector, "projector")), self.add_weight
        shared = {"trainable": False, "aggregation": _compat.ONLY_FIRST_REPLICA}
        self.keys = add(shape=shape, initializer="random_normal", name="keys", **shared)
        self.keys.assign(normalized(tf.convert_to_tensor(self.keys)))
        self.place = add(shape=(), dtype="int64", initializer="zeros", name="place", **shared)

    def forward(self, views: tuple[tf.Tensor, ...], training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of a batch, and z1. In training, the keys enter the queue."""
        q1, q2 = (self.encode(x, training) for x in views)
        k1, k2 = (normalized(k) for k in self.targets.of(views, (), training))
        negatives = tf.convert_to_tensor(self.keys)
        loss = info_nce(q1, k2, negatives, self.temperature) / 2
        loss += info_nce(q2, k1, negatives, self.temperature) / 2
        if training:
            self._enqueue(tf.concat([of_whole_batch(k1), of_whole_batch(k2)], axis=0))
        return loss, q1

    def _enqueue(self, keys: tf.Tensor) -> None:
        """Replaces the oldest keys by those of a batch, ``[2N, d]``."""
        length = self.queue
        if keys.shape[0] is not None and keys.shape[0] > length:
            raise InputError(
                f"queue must hold the {keys.shape[0]} keys of a batch, two per image; got {length}"
            )
        added = tf.shape(keys, tf.int64)[0]
        places = (tf.convert_to_tensor(self.place) + tf.range(added)) % length
        queue = tf.convert_to_tensor(self.keys)
        self.keys.assign(tf.tensor_scatter_nd_update(queue, places[:, None], keys))
        self.place.assign((tf.convert_to_tensor(self.place) + added) % length)


def info_nce(q: tf.Tensor, k: tf.Tensor, queue: tf.Tensor, temperature: float) -> tf.Tensor:
    """The cross-entropy of each query to its key, among that and the keys of the queue.

    Args:
        q: Queries ``[B, d]``.
        k: Their keys ``[B, d]``.
        queue: Negatives ``[K, d]``, unit vectors.
        temperature: τ, above 0.

    Returns:
        A scalar, at least float32.
    """
    q, k = normalized(q), normalized(k)
    positive = tf.reduce_sum(q * k, axis=1, keepdims=True)
    negative = tf.matmul(q, tf.cast(queue, q.dtype), transpose_b=True)
    logits = tf.concat([positive, negative], axis=1) / temperature
    first = tf.zeros(tf.shape(q)[:1], tf.int32)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(first, logits))
