"""The heads of SimSiam: projector and predictor (paper, Section 3 and Appendix A)."""

from __future__ import annotations

import math

import keras

from keras_simsiam.errors import check_choice
from keras_simsiam.models.resnet import batch_norm as new_batch_norm

BATCH_NORM = {
    "default": ("all", "hidden"),
    "hidden": ("hidden", "hidden"),
    "all": ("all", "all"),
    "none": ("none", "none"),
}
"""Where projector and predictor have BatchNorm, by the names of `config.Model.batch_norm` (the rows
of the paper's Table 3)."""

_PLACES = ("all", "hidden", "none")


def projector(
    input_dim: int,
    output_dim: int = 2048,
    hidden_dim: int | None = None,
    layers: int = 3,
    batch_norm: str = "all",
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
        InputError: If `batch_norm` is none of these.
    """
    check_choice("batch_norm", batch_norm, _PLACES)
    x = inputs = keras.Input((input_dim,), name="features")
    for i in range(1, layers):
        x = _hidden(x, hidden_dim or input_dim, i, batch_norm != "none")
    last = batch_norm == "all"
    z = _dense(x, output_dim, f"fc{layers}", use_bias=not last)
    if last:
        z = new_batch_norm(f"bn{layers}", center=False, scale=False)(z)
    return keras.Model(inputs, z, name=name)


def predictor(
    dim: int = 2048,
    hidden_dim: int | None = None,
    layers: int = 2,
    batch_norm: str = "hidden",
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
        InputError: If `batch_norm` is none of these.
    """
    check_choice("batch_norm", batch_norm, _PLACES)
    x = z = keras.Input((dim,), name="z")
    for i in range(1, layers):
        x = _hidden(x, hidden_dim or max(1, dim // 4), i, batch_norm != "none")
    p = _dense(x, dim, f"fc{layers}", use_bias=batch_norm != "all")
    if batch_norm == "all":
        p = new_batch_norm(f"bn{layers}")(p)
    return keras.Model(z, p, name=name)


def no_predictor(dim: int = 2048, name: str = "predictor") -> keras.Model:
    """The identity, p = z, in place of a predictor; SimSiam collapses with it (Table 1a)."""
    z = keras.Input((dim,), name="z")
    return keras.Model(z, keras.layers.Identity(name="identity")(z), name=name)


def _hidden(x, units: int, number: int, batch_norm: bool):
    """A fully connected layer, BatchNorm if wanted, and a ReLU."""
    x = _dense(x, units, f"fc{number}", use_bias=not batch_norm)
    if batch_norm:
        x = new_batch_norm(f"bn{number}")(x)
    return keras.layers.ReLU(name=f"relu{number}")(x)


def _dense(x, units: int, name: str, use_bias: bool):
    """A fully connected layer with weights and biases drawn uniformly from ±1/√in.

    That is PyTorch's default. The paper warns that training may not converge with other
    initialisers (Appendix A).
    """
    limit = 1.0 / math.sqrt(x.shape[-1])
    return keras.layers.Dense(
        units,
        use_bias=use_bias,
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        bias_initializer=keras.initializers.RandomUniform(-limit, limit),
        name=name,
    )(x)
