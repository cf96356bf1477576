"""Options of fine-tuning. Nothing here imports TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keras_simsiam.fields import Settings, setting


@dataclass(frozen=True)
class Learning(Settings):
    """How a classifier learns."""

    network: Literal["frozen", "trained"] = "frozen"
    """frozen: a linear classifier of the features, in seconds. trained: the whole network."""
    epochs: int = setting(20, at_least=1)
    """Epochs of a trained network, at least: with few labels there are more, for 200 steps."""
    batch_size: int = setting(32, at_least=1)
    """Images per step of a trained network, at most the number of labels."""
    learning_rate: float = setting(0.01, above=0)
    """First learning rate of a trained network; it decays to 0 along a cosine."""
    seed: int = setting(0, at_least=0, below=2**31)
    """Seed of the choice of labels, the order, the crops and the random weights."""
