"""SimSiam (Chen and He 2021, arXiv 2011.10566): Siamese networks without negatives or momentum.

Algorithm 1 of the paper, f = projector ∘ backbone, h = predictor::

    for x in loader:
        x1, x2 = aug(x), aug(x)
        z1, z2 = f(x1), f(x2)
        p1, p2 = h(z1), h(z2)
        loss = D(p1, z2) / 2 + D(p2, z1) / 2     # no gradient through z
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self, Unpack

import keras
import tensorflow as tf

from keras_simsiam import config
from keras_simsiam.augmentation import Augmentation
from keras_simsiam.fields import Bounds, Count, checks_arguments
from keras_simsiam.model_settings import Similarity, Symmetry
from keras_simsiam.models import heads
from keras_simsiam.models.base import JointEmbedding, Length, ModelArguments
from keras_simsiam.models.objectives import SIMILARITIES
from keras_simsiam.models.parts import output_dim
from keras_simsiam.models.targets import targets_of
from keras_simsiam.view_rules import SmallViews, count_views

SYMMETRIES = {
    "symmetric": {0: [[1]], 1: [[0]]},  # D(p1, z2) and D(p2, z1), equation 2
    "asymmetric": {0: [[1]]},  # D(p1, z2) alone
    "two_pairs": {0: [[1]], 2: [[3]]},  # D(p1, z2) and D(p3, z4)
    "fastsiam": None,  # D(p_i, mean of the other z), of any number of views
}
"""Which view predicts which, by name (Section 4.6; FastSiam, Pototzky et al. 2022): for each view
that predicts, its targets; each is the mean z of some views."""


def predictions(symmetry: str, views: int, small: int = 0) -> dict[int, list[list[int]]]:
    """Which view predicts which, as in `SYMMETRIES`.

    Args:
        symmetry: A key of `SYMMETRIES`.
        views: k, the number of large views.
        small: The number of small views after them, each of which predicts every large one.
    """
    found = SYMMETRIES[symmetry]
    if found is None:
        found = {i: [[j for j in range(views) if j != i]] for i in range(views)}
    return found | {views + i: [[j] for j in range(views)] for i in range(small)}


@keras.saving.register_keras_serializable("keras_simsiam")
class SimSiam(JointEmbedding):
    """Learns image features from pairs of views, without labels.

    `fit` takes batches ``(x1, x2)``: two float32 tensors ``[B, H, W, 3]`` with a random view of
    each of B images, as `keras_simsiam.views` makes them. The paper's ablations are arguments.

    Calling the model returns the backbone's features::

        model = SimSiam(resnet18(width=16, stem="cifar"))
        model.compile(**paper_optimizers(batch_size=64, steps=1000))
        model.fit(pairs, steps_per_epoch=100, epochs=10)
        features = model.predict(images)

    See `JointEmbedding` for what it logs, several devices and mixed precision.

    Args:
        backbone: Any built `keras.Model` from images to vectors ``[B, D]``.
        projector: From features to z ``[B, d]``; by default `heads.projector` of the paper's size.
        predictor: From z to p ``[B, d]``; by default `heads.predictor` for the projector's z.
        stop_gradient: Whether z is a constant in the loss. If False, SimSiam collapses
            (Section 4.1).
        train_predictor: Whether the predictor is trained; if False, it keeps its random
            initialization (Table 1b).
        similarity: "cosine", or "cross_entropy" of softmaxes (Section 4.5).
        symmetry: "symmetric", the loss of equation 2; "asymmetric", D(p1, z2) alone;
            "two_pairs", D(p1, z2) and D(p3, z4) of batches ``(x1, x2, x3, x4)`` (Section 4.6); or
            "fastsiam", in which each p_i predicts the mean z of the other views (Pototzky et al.
            2022), of batches ``(x1, ..., xk)``.
        views: k, the number of views for the symmetry "fastsiam"; by default 4. A step makes a
            pass over each, so 4 take twice as long as the 2 of the symmetric loss.
        target: Which encoder makes the target z: "self"; or another one that follows it, see
            `keras_simsiam.target_rules.TargetRule`: "momentum:0.99", "cosine:0.996" or "every:10"
            (Sections 5.2 and 6.2); or a moving average of each image's z, "images:0.8" (Section
            5.2), for batches of ``views(..., numbered=True)``.
        steps: Steps of the whole training, required with the target "cosine".
        images: Images in the dataset, required with the target "images".
        augmentation: Makes the views within the training step, see `JointEmbedding`.
        image_size: Side of the views in pixels, see `JointEmbedding`.
        small_views: Small views that follow x1 and x2 in a batch (multi-crop). Each of them
            predicts z1 and z2, and is no target; the loss is the mean over all predictions. Needs
            the symmetry "symmetric".
        **kwargs: See `keras.Model`.

    Raises:
        InputError: If a network is not a Keras model, the networks do not fit one another, there
            is no such similarity, symmetry or target, the symmetry takes no `views` or
            `small_views`, or as `JointEmbedding` says.
    """

    predictor: keras.Model
    takes_small_views = True
    settings = (
        *("stop_gradient", "train_predictor", "similarity", "symmetry", "views"),
        *("target", "steps", "images"),
    )

    @checks_arguments
    def __init__(
        self,
        backbone: keras.Model,
        projector: keras.Model | None = None,
        predictor: keras.Model | None = None,
        stop_gradient: bool = True,
        train_predictor: bool = True,
        similarity: Similarity = "cosine",
        symmetry: Symmetry = "symmetric",
        views: Annotated[int, Bounds(at_least=2)] | None = None,
        target: str = "self",
        steps: Count | None = None,
        images: Count | None = None,
        augmentation: Augmentation | Sequence[Augmentation] | None = None,
        image_size: Count | None = None,
        small_views: SmallViews | None = None,
        **kwargs: Unpack[ModelArguments],
    ):
        count = count_views(symmetry, views, small_views.count if small_views else 0)
        projector = projector or heads.projector(output_dim(backbone, image_size=image_size))
        predictor = predictor or heads.predictor(output_dim(projector, "projector"))
        parts = {"backbone": backbone, "projector": projector, "predictor": predictor}
        super().__init__(parts, augmentation, image_size, small_views, **kwargs)
        self.stop_gradient = stop_gradient
        self.train_predictor = train_predictor
        self.similarity = similarity
        self.symmetry, self.views = symmetry, views
        self.target, self.steps, self.images = target, steps, images
        self.targets = targets_of(target, backbone, projector, steps, images, stop_gradient)
        self.view_count = count

    def forward(
        self,
        views: tuple[tf.Tensor, ...],
        training: bool,
        sample_weight: tf.Tensor | None = None,
        examples: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of a batch, and z1."""
        # One pass per view, because BatchNorm's statistics are those of one view.
        z = [self.encode(x, training) for x in views]  # [B, d] each
        large, targets = views[: self.view_count], z[: self.view_count]
        if self.targets:
            targets = self.targets.of(large, targets, training, examples)
        losses = []
        # p1 predicts z2 and p2 predicts z1, unless another symmetry or small views are asked for.
        for i, means in predictions(self.symmetry, len(large), len(views) - len(large)).items():
            p = self.predictor(z[i], training=training)
            for of_views in means:
                mean = tf.add_n([targets[j] for j in of_views]) / len(of_views)
                losses.append(self.distance(p, mean, sample_weight))
        return tf.add_n(losses) / len(losses), z[0]

    def distance(
        self,
        p: tf.Tensor,
        z: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """D(p, stopgrad(z)), a scalar, for p and z ``[B, d]``."""
        target = tf.stop_gradient(z) if self.stop_gradient else z
        return SIMILARITIES[self.similarity](p, target, sample_weight)

    def predictor_variables(self) -> list:
        """The predictor's variables, unless it is fixed."""
        # A fixed predictor is not frozen: Keras would freeze its BatchNorm, too.
        return super().predictor_variables() if self.train_predictor else []

    @classmethod
    def from_settings(
        cls, settings: config.Model, backbone: keras.Model, length: Length, **kwargs: Any
    ) -> Self:
        """Builds the heads that the configuration describes, and the model."""
        trained = settings.predictor == "mlp"
        return super().from_settings(settings, backbone, length, train_predictor=trained, **kwargs)
