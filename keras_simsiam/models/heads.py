"""The heads: projector, predictor (paper, Section 3 and Appendix A) and SwAV's prototypes."""

from __future__ import annotations

import math
from typing import Literal

import keras

from keras_simsiam import config
from keras_simsiam.fields import Count, checks_arguments
from keras_simsiam.models.batch_norm import batch_norm as new_batch_norm

Layers = Literal["all", "hidden", "none"]
"""Which layers of a head something follows."""

BATCH_NORM: dict[str, tuple[Layers, Layers]] = {
    "default": ("all", "hidden"),
    "hidden": ("hidden", "hidden"),
    "all": ("all", "all"),
    "none": ("none", "none"),
}
"""Where projector and predictor have BatchNorm, by the names of `config.Model.batch_norm` (the rows
of the paper's Table 3)."""


@checks_arguments
def projector(
    input_dim: Count,
    output_dim: Count = 2048,
    hidden_dim: Count | None = None,
    layers: Count = 3,
    batch_norm: Layers = "all",
    name: str = "projector",
) -> keras.Model:
    """The projection MLP: BatchNorm after every layer, ReLU after all but the last.

    The last BatchNorm has neither scale nor offset, as in the authors' code. The paper uses three
    layers for ImageNet and two for CIFAR.

    Args:
        input_dim: Dimension of the backbone's features.
        output_dim: d, the dimension of z.
        hidden_dim: Dimension of the hidden layers; by default `input_dim`, as in the authors' code
            (both are 2048 for ResNet-50).
        layers: Number of fully connected layers, at least 1.
        batch_norm: Which layers BatchNorm follows: "all", "hidden" or "none" (Table 3).
        name: Name of the model.

    Returns:
        A model from features ``[B, input_dim]`` to z ``[B, output_dim]``.

    Raises:
        InputError: If an argument is not of these.
    """
    features = keras.Input((input_dim,), name="features")
    hidden = [hidden_dim or input_dim] * (layers - 1)
    z = _mlp(features, [*hidden, output_dim], batch_norm, center=False, scale=False)
    return keras.Model(features, z, name=name)


@checks_arguments
def predictor(
    dim: Count = 2048,
    hidden_dim: Count | None = None,
    layers: Count = 2,
    batch_norm: Layers = "hidden",
    name: str = "predictor",
) -> keras.Model:
    """The prediction MLP h: a bottleneck of two layers, with BatchNorm on the hidden one only.

    Args:
        dim: d, the dimension of z and p.
        hidden_dim: Dimension of the bottleneck; by default d / 4 (paper, Appendix B).
        layers: Number of fully connected layers, at least 1; all but the last have the dimension
            of the bottleneck.
        batch_norm: Which layers BatchNorm follows: "hidden", "all" or "none" (Table 3).
        name: Name of the model.

    Returns:
        A model from z ``[B, dim]`` to p ``[B, dim]``.

    Raises:
        InputError: If an argument is not of these.
    """
    z = keras.Input((dim,), name="z")
    hidden = [hidden_dim or max(1, dim // 4)] * (layers - 1)
    return keras.Model(z, _mlp(z, [*hidden, dim], batch_norm), name=name)


@checks_arguments
def no_predictor(dim: Count = 2048, name: str = "predictor") -> keras.Model:
    """The identity, p = z, in place of a predictor; SimSiam collapses with it (Table 1a)."""
    z = keras.Input((dim,), name="z")
    return keras.Model(z, keras.layers.Identity(name="identity")(z), name=name)


def projector_of(settings: config.Model, input_dim: int) -> keras.Model:
    """The projector that a configuration describes.

    Args:
        settings: The configuration.
        input_dim: Dimension of the backbone's features.
    """
    where, _ = BATCH_NORM[settings.batch_norm]
    s = settings
    return projector(input_dim, s.projector_dim, s.projector_hidden, s.projector_layers, where)


def predictor_of(settings: config.Model) -> keras.Model:
    """The predictor that a configuration describes; the identity if it has none."""
    _, where = BATCH_NORM[settings.batch_norm]
    s = settings
    if s.predictor == "none":
        return no_predictor(s.projector_dim)
    return predictor(s.projector_dim, s.predictor_hidden, s.predictor_layers, where)


def prototypes(dim: int, count: int, name: str = "prototypes") -> keras.Model:
    """SwAV's prototypes: a linear layer without bias.

    Args:
        dim: d, the dimension of z.
        count: K, the number of prototypes.
        name: Name of the model.

    Returns:
        A model from z ``[B, dim]`` to scores ``[B, count]``.
    """
    z = keras.Input((dim,), name="z")
    return keras.Model(z, _dense(z, count, "scores", use_bias=False), name=name)


def _mlp(x, dims: list[int], batch_norm: Layers, **last_norm):
    """Fully connected layers with ReLUs between them; `last_norm` is for the last BatchNorm."""
    for i, dim in enumerate(dims, start=1):
        last = i == len(dims)
        normalized = batch_norm == "all" if last else batch_norm != "none"
        x = _dense(x, dim, f"fc{i}", use_bias=not normalized)
        if normalized:
            x = new_batch_norm(f"bn{i}", **(last_norm if last else {}))(x)
        if not last:
            x = keras.layers.ReLU(name=f"relu{i}")(x)
    return x


def _dense(x, units: int, name: str, use_bias: bool):
    """A fully connected layer with weights and biases drawn uniformly from ±1/√in.

    That is PyTorch's default. The paper warns that training may not converge with other
    initializers (Appendix A).
    """
    limit = 1.0 / math.sqrt(x.shape[-1])
    return keras.layers.Dense(
        units,
        use_bias=use_bias,
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        bias_initializer=keras.initializers.RandomUniform(-limit, limit),
        name=name,
    )(x)
