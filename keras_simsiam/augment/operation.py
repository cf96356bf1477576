"""The interface of an operation of the augmentation."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar

import tensorflow as tf

from keras_simsiam.augmentation import Augmentation

Parameters = dict[str, dict[str, tf.Tensor]]
"""Parameters of one view of B images: ``{operation: {parameter: tensor [B, ...]}}``."""


class Operation(abc.ABC):
    """One step of the augmentation: what it draws, and what it does to the pixels.

    Attributes:
        name: Key of its parameters and of its random numbers; renaming it changes its draws.
        probability: The setting of `Augmentation` that says how often it occurs.
        numbers: How many uniform random numbers it needs for a view, by a name for each use.
    """

    name: ClassVar[str]
    probability: ClassVar[str]
    numbers: ClassVar[Mapping[str, int]]

    def occurs(self, augmentation: Augmentation) -> bool:
        """Whether it can occur; if not, it is neither drawn nor applied."""
        return getattr(augmentation, self.probability) > 0

    @abc.abstractmethod
    def draw(
        self,
        augmentation: Augmentation,
        numbers: dict[str, tf.Tensor],
        height: tf.Tensor | float | None,
        width: tf.Tensor | float | None,
    ) -> dict[str, tf.Tensor]:
        """Turns uniform numbers into the parameters of one view of each image.

        Args:
            augmentation: The distributions.
            numbers: float32 ``[B, count]`` in [0, 1) for each name of `numbers`.
            height: Height of the source images in pixels, a number or float32 ``[B]``; None if
                they are crops already.
            width: Their width.

        Returns:
            Tensors with a leading axis B, by name.
        """

    @abc.abstractmethod
    def apply(
        self,
        augmentation: Augmentation,
        planes: tf.Tensor,
        parameters: dict[str, tf.Tensor],
        size: int,
    ) -> tf.Tensor:
        """Applies drawn parameters to the pixels, deterministically.

        Args:
            augmentation: The distributions, for their limits.
            planes: float32 ``[B, C, H, W]`` in [0, 1], see `keras_simsiam.augment.planes`.
            parameters: From `draw`.
            size: Side of the views in pixels.

        Returns:
            float32 ``[B, C, size, size]`` in [0, 1].
        """
