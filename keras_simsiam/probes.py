"""Options of the probes that evaluate frozen features. Nothing here imports TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from keras_simsiam.fields import Settings, setting, switch

LinearOptimizer = Literal["sgd", "lars"]


@dataclass(frozen=True)
class KNN(Settings):
    """The kNN probe (paper, Section 4.1)."""

    knn_k: int = setting(200, at_least=1)
    """Number of neighbors that vote, at most the number of training images."""
    knn_temperature: float = setting(0.1, above=0)
    """Temperature of the vote: a neighbor weighs exp(cosine / temperature)."""


@dataclass(frozen=True)
class Linear(Settings):
    """The linear probe (paper, Section 4)."""

    linear_optimizer: LinearOptimizer = "sgd"
    """lars is the paper's, for batches of 4096; both have momentum 0.9 and cosine decay."""
    linear_epochs: int = setting(90, at_least=1)
    """Epochs of training."""
    linear_batch_size: int = setting(256, at_least=1)
    """Images per step, at most the number of training images."""
    linear_augment: bool = switch(False)
    """Train on random crops and flips, as in the paper; the encoder then runs on all images twice
    per epoch instead of only once."""


@dataclass(frozen=True)
class Probes(Settings):
    """Which probes to run."""

    probe: list[Literal["knn", "linear"]] = setting(["knn"], type=str, metavar="PROBE ...")
    """knn, linear, or both."""
    labels: list[float] = setting([1.0], above=0, at_most=1, metavar="SHARE ...")
    """Shares of the training labels to use, such as 0.01 0.1 1; at least one image per class is
    used. The probes run once for each."""
    seed: int = setting(0, at_least=0, below=2**31)
    """Seed of the linear probe, and of the choice of labels."""
    knn: KNN = field(default_factory=KNN)
    linear: Linear = field(default_factory=Linear)
