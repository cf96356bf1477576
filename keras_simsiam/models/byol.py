"""BYOL (Grill et al. 2020, arXiv 2006.07733): SimSiam with a momentum encoder as the target.

With the weights ξ of the target an average of the trained θ (its equation 1)::

    p1, p2 = h(f_θ(x1)), h(f_θ(x2))
    z1, z2 = f_ξ(x1), f_ξ(x2)
    loss = D(p1, z2) / 2 + D(p2, z1) / 2
    ξ = m ξ + (1 - m) θ                      # after each step

BYOL's own loss, ‖p - z‖² of unit vectors summed over both directions, is 4 + 4 times this one: a
learning rate of the paper is four times as large here.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_simsiam.models.simsiam import SimSiam


@keras.saving.register_keras_serializable("keras_simsiam")
class BYOL(SimSiam):
    """Bootstrap your own latent: predicts what a slowly moving average of the encoder sees.

    The change from SimSiam: z is that of a momentum encoder.

    Args:
        backbone: See `SimSiam`.
        projector: See `SimSiam`.
        predictor: See `SimSiam`.
        target: The momentum encoder: "cosine:0.996" has a momentum that rises from there to 1
            (its Section 3.3), for which `steps` is required; see `SimSiam` for others.
        **kwargs: See `SimSiam`.

    Raises:
        InputError: As for `SimSiam`.
    """

    def __init__(
        self,
        backbone: keras.Model,
        projector: keras.Model | None = None,
        predictor: keras.Model | None = None,
        target: str = "cosine:0.996",
        **kwargs: Any,
    ):
        super().__init__(backbone, projector, predictor, target=target, **kwargs)
