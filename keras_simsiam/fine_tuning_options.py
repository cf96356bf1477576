"""Options of fine-tuning. Nothing here imports TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keras_simsiam.fields import Settings, setting


@dataclass(frozen=True)
class Learning(Settings):
    """How a classifier learns."""

    network: Literal["frozen", "trained"] = "frozen"
    """What learns: a linear classifier of the features, which takes seconds (frozen), or the whole
    network (trained). The next three options are for the latter."""
    epochs: int = setting(20, at_least=1)
    """Number of epochs; more with few labels, for at least 200 steps."""
    batch_size: int = setting(32, at_least=1)
    """Images per step, at most the number of labels."""
    learning_rate: float = setting(0.01, above=0)
    """Initial learning rate, which decays to 0 along a cosine."""
    seed: int = setting(0, at_least=0, below=2**31)
    """Seed of the choice of labels, the order of the images, their crops, and the random weights
    to compare with."""
