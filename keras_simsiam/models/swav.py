"""SwAV (Caron et al. 2020, arXiv 2006.09882): views predict each other's cluster assignments.

With prototypes C of unit norm and τ the temperature (its equations 1 to 5)::

    s1, s2 = C·f(x1), C·f(x2)                          # of unit vectors f(x)
    q1, q2 = sinkhorn(s1), sinkhorn(s2)                # codes: equally filled; no gradient
    loss = H(q2, softmax(s1 / τ)) / 2 + H(q1, softmax(s2 / τ)) / 2

H(q, p) is the cross-entropy -Σ q log p. With multi-crop (its Section 3.2) small views x3, x4, ...
predict both codes, and the loss is the mean over all predictions; without, as in SimSiam's
comparison, there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self, Unpack

import keras
import tensorflow as tf

from keras_simsiam import config
from keras_simsiam.augmentation import Augmentation
from keras_simsiam.fields import Bounds, Count, Index, Positive, checks_arguments
from keras_simsiam.models import heads
from keras_simsiam.models.base import JointEmbedding, Length, ModelArguments
from keras_simsiam.models.objectives import (
    at_least_float32,
    normalized,
    of_whole_batch,
    own_rows,
)
from keras_simsiam.models.parts import output_dim
from keras_simsiam.models.targets import assign
from keras_simsiam.view_rules import SmallViews


@keras.saving.register_keras_serializable("keras_simsiam")
class SwAV(JointEmbedding):
    """Online clustering: the target is an assignment to prototypes, balanced over the batch.

    The change from SimSiam: z is compared through prototypes, and the Sinkhorn-Knopp algorithm
    makes the target, which prevents collapse without a predictor (SimSiam's paper, Section 6.2).

    Args:
        backbone: Any built `keras.Model` from images to vectors ``[B, D]``.
        projector: From features to z ``[B, d]``; by default `heads.projector` of 128 dimensions
            in two layers, without BatchNorm on the last.
        predictor: From z to what is scored as a prediction; None for z itself.
        prototypes: The number of prototypes, K.
        temperature: τ.
        epsilon: ε, the smoothness of the codes.
        sinkhorn_iterations: Of the Sinkhorn-Knopp algorithm.
        freeze_steps: Steps at the beginning in which the prototypes stay as they are; the authors
            use the first epoch.
        stop_gradient: Whether the codes are constants. If False, training goes to NaN in
            SimSiam's paper (Section 6.2).
        augmentation: See `JointEmbedding`.
        image_size: See `JointEmbedding`.
        small_views: Small views that follow x1 and x2 in a batch (multi-crop). BatchNorm sees one
            view at a time; in the authors' code it sees all views of a size together.
        **kwargs: See `keras.Model`.
    """

    predictor: keras.Model
    prototypes: keras.Model
    view_count = 2
    takes_small_views = True
    settings = ("temperature", "epsilon", "sinkhorn_iterations", "stop_gradient")

    @checks_arguments
    def __init__(
        self,
        backbone: keras.Model,
        projector: keras.Model | None = None,
        predictor: keras.Model | None = None,
        prototypes: Annotated[int, Bounds(at_least=2)] = 3000,
        temperature: Positive = 0.1,
        epsilon: Positive = 0.05,
        sinkhorn_iterations: Count = 3,
        freeze_steps: Index = 0,
        stop_gradient: bool = True,
        augmentation: Augmentation | Sequence[Augmentation] | None = None,
        image_size: Count | None = None,
        small_views: SmallViews | None = None,
        **kwargs: Unpack[ModelArguments],
    ):
        projector = projector or heads.projector(
            output_dim(backbone), 128, layers=2, batch_norm="hidden"
        )
        scores = heads.prototypes(output_dim(projector, "projector"), prototypes)
        predictor = predictor or heads.no_predictor(output_dim(projector, "projector"))
        parts = {"backbone": backbone, "projector": projector}
        parts |= {"prototypes": scores, "predictor": predictor}
        super().__init__(parts, augmentation, image_size, small_views, **kwargs)
        self.temperature = temperature
        self.epsilon, self.sinkhorn_iterations = epsilon, sinkhorn_iterations
        self.freeze_steps, self.stop_gradient = freeze_steps, stop_gradient

    def before_step(self) -> None:
        """Gives the prototypes unit norm."""
        (kernel,) = self.prototypes.weights
        assign([kernel], [tf.math.l2_normalize(tf.convert_to_tensor(kernel), axis=0)])

    def forward(self, views: tuple[tf.Tensor, ...], training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of a batch, and z1."""
        z = [self.encode(x, training) for x in views]
        kernel = self._kernel()
        scores = [normalized(self.predictor(v, training=training)) @ kernel for v in z]
        codes = [self._codes(normalized(v) @ kernel) for v in z[:2]]
        losses = [
            cross_entropy(q, s, self.temperature)
            for i, q in enumerate(codes)
            for j, s in enumerate(scores)
            if i != j
        ]
        return tf.add_n(losses) / len(losses), z[0]

    def _kernel(self) -> tf.Tensor:
        """The prototypes ``[d, K]``, without gradient while they are frozen."""
        (kernel,) = self.prototypes.weights
        kernel = at_least_float32(tf.convert_to_tensor(kernel))
        frozen = tf.convert_to_tensor(self.step_counter) < self.freeze_steps
        return tf.where(frozen, tf.stop_gradient(kernel), kernel)

    def _codes(self, scores: tf.Tensor) -> tf.Tensor:
        """Codes ``[B, K]`` of this device's scores, balanced over the whole batch."""
        if self.stop_gradient:
            scores = tf.stop_gradient(scores)
        codes = sinkhorn(of_whole_batch(scores), self.epsilon, self.sinkhorn_iterations)
        return tf.gather(codes, own_rows(scores))

    @classmethod
    def from_settings(
        cls, settings: config.Model, backbone: keras.Model, length: Length, **kwargs: Any
    ) -> Self:
        """Builds the heads that the configuration describes, and the model."""
        freeze_steps = round((settings.freeze_prototypes or 0) * length.steps_per_epoch)
        own = {"prototypes": settings.prototypes, "freeze_steps": freeze_steps}
        return super().from_settings(settings, backbone, length, **own, **kwargs)

    def get_config(self) -> dict:
        """The arguments that make this model again, its networks included."""
        own = {"prototypes": output_dim(self.prototypes), "freeze_steps": self.freeze_steps}
        return super().get_config() | own


def sinkhorn(scores: tf.Tensor, epsilon: float = 0.05, iterations: int = 3) -> tf.Tensor:
    """Codes: soft assignments that fill all prototypes equally.

    Args:
        scores: ``[N, K]``, at most about 4 in float32 with the default ε.
        epsilon: ε, above 0; codes are the sharper, the smaller it is.
        iterations: How often rows and columns are normalized.

    Returns:
        ``[N, K]``; each row sums to 1.
    """
    scores = at_least_float32(scores)
    q = tf.exp(scores / epsilon)
    q /= tf.reduce_sum(q)
    rows, columns = (tf.cast(n, q.dtype) for n in tf.unstack(tf.shape(q)))
    for _ in range(iterations):
        q /= tf.reduce_sum(q, axis=0, keepdims=True) * columns
        q /= tf.reduce_sum(q, axis=1, keepdims=True) * rows
    return q * rows


def cross_entropy(codes: tf.Tensor, scores: tf.Tensor, temperature: float) -> tf.Tensor:
    """The cross-entropy between codes and softmax(scores / τ), averaged over the batch.

    Args:
        codes: ``[B, K]``, of one view.
        scores: ``[B, K]``, of the other.
        temperature: τ, above 0.
    """
    log_p = tf.nn.log_softmax(at_least_float32(scores) / temperature)
    return -tf.reduce_mean(tf.reduce_sum(codes * log_p, axis=1))
