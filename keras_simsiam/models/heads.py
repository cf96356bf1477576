"""The two heads of SimSiam: projector and predictor (paper, Section 3 and Appendix A)."""

from __future__ import annotations

import math

import keras

from keras_simsiam.models.resnet import BATCH_NORM


def projector(
    input_dim: int,
    output_dim: int = 2048,
    hidden_dim: int | None = None,
    layers: int = 3,
    name: str = "projector",
) -> keras.Model:
    """The projection MLP: BatchNorm after every layer, ReLU after all but the last.

    The last BatchNorm has neither scale nor offset, as in the authors' code. The paper uses three
    layers for ImageNet and two for CIFAR.

    Args:
        input_dim: Dimension of the backbone's features.
        output_dim: d, dimension of z.
        hidden_dim: Dimension of the hidden layers; that of the features where None, as in the
            authors' code (both are 2048 for ResNet-50).
        layers: Fully connected layers, at least 1.
        name: Name of the model.

    Returns:
        A model from features ``[B, input_dim]`` to z ``[B, output_dim]``.
    """
    x = inputs = keras.Input((input_dim,), name="features")
    for i in range(1, layers):
        x = _dense(x, hidden_dim or input_dim, f"fc{i}", use_bias=False)
        x = keras.layers.BatchNormalization(name=f"bn{i}", **BATCH_NORM)(x)
        x = keras.layers.ReLU(name=f"relu{i}")(x)
    x = _dense(x, output_dim, f"fc{layers}", use_bias=False)
    z = keras.layers.BatchNormalization(
        center=False, scale=False, name=f"bn{layers}", **BATCH_NORM
    )(x)
    return keras.Model(inputs, z, name=name)


def predictor(dim: int = 2048, hidden_dim: int | None = None, name: str = "predictor"):
    """The prediction MLP h: a bottleneck of two layers, BatchNorm on the hidden one only.

    Args:
        dim: d, dimension of z and of p.
        hidden_dim: Dimension of the bottleneck; d / 4 where None (paper, Appendix B).
        name: Name of the model.

    Returns:
        A `keras.Model` from z ``[B, dim]`` to p ``[B, dim]``.
    """
    z = keras.Input((dim,), name="z")
    x = _dense(z, hidden_dim or max(1, dim // 4), "fc1", use_bias=False)
    x = keras.layers.BatchNormalization(name="bn1", **BATCH_NORM)(x)
    x = keras.layers.ReLU(name="relu1")(x)
    return keras.Model(z, _dense(x, dim, "fc2", use_bias=True), name=name)


def _dense(x, units: int, name: str, use_bias: bool):
    """A fully connected layer that starts uniform in ±1/√in, weights and biases.

    PyTorch's default; the paper warns that other initialisers may not converge (Appendix A).
    """
    limit = 1.0 / math.sqrt(x.shape[-1])
    return keras.layers.Dense(
        units,
        use_bias=use_bias,
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        bias_initializer=keras.initializers.RandomUniform(-limit, limit),
        name=name,
    )(x)
