"""ResNets as torchvision defines them (He et al. 2016, v1.5), with a width and the CIFAR stem.

They differ from `keras.applications` in what matters here: padding is symmetric, a bottleneck has
its stride in the 3×3 convolution, BatchNorm has PyTorch's momentum and epsilon, convolutions are
initialized He-normal by fan-out, and the last BatchNorm of each block starts at zero, as in the
authors' training. Layers have torchvision's names, so that PyTorch's weights can be loaded.

To add a ResNet, write its function here and add its name to `backbone_rules.ResNet`.
"""

from __future__ import annotations

import typing

import keras

from keras_simsiam.backbone_rules import ResNet
from keras_simsiam.errors import check_choice
from keras_simsiam.fields import Count, checks_arguments
from keras_simsiam.model_settings import Stem
from keras_simsiam.models.batch_norm import batch_norm


@checks_arguments
def resnet18(
    width: Count = 64, stem: Stem = "imagenet", name: str = "resnet18", channels: Count = 3
) -> keras.Model:
    """ResNet-18; features have ``8 * width`` dimensions. See `resnet`.

    Raises:
        InputError: If there is no such stem, or the width is not a positive integer.
    """
    return resnet((2, 2, 2, 2), False, width, stem, name, channels)


@checks_arguments
def resnet34(
    width: Count = 64, stem: Stem = "imagenet", name: str = "resnet34", channels: Count = 3
) -> keras.Model:
    """ResNet-34; features have ``8 * width`` dimensions. See `resnet`.

    Raises:
        InputError: If there is no such stem, or the width is not a positive integer.
    """
    return resnet((3, 4, 6, 3), False, width, stem, name, channels)


@checks_arguments
def resnet50(
    width: Count = 64, stem: Stem = "imagenet", name: str = "resnet50", channels: Count = 3
) -> keras.Model:
    """ResNet-50; features have ``32 * width`` dimensions. See `resnet`.

    Raises:
        InputError: If there is no such stem, or the width is not a positive integer.
    """
    return resnet((3, 4, 6, 3), True, width, stem, name, channels)


BACKBONES = {name: globals()[name] for name in typing.get_args(ResNet)}
"""The backbones by name."""


def resnet(
    blocks: tuple[int, int, int, int],
    bottleneck: bool,
    width: int,
    stem: Stem,
    name: str,
    channels: int = 3,
) -> keras.Model:
    """A ResNet up to and including the global average pool.

    Args:
        blocks: Number of residual blocks in each of the four stages.
        bottleneck: Whether blocks are 1×1-3×3-1×1 bottlenecks instead of two 3×3 convolutions.
        width: Channels of the first stage; 64 in torchvision.
        stem: "imagenet" (7×7 stride 2, then 3×3 max-pool stride 2) or "cifar" (3×3 stride 1).
        name: Name of the model.
        channels: Channels of the images.

    Returns:
        A model from float32 ``[B, H, W, channels]`` of any size to features ``[B, D]``.

    Raises:
        InputError: If there is no such stem.
    """
    check_choice("image_data_format", keras.backend.image_data_format(), ["channels_last"])
    inputs = keras.Input((None, None, channels), name="images")
    kernel, stride = {"imagenet": (7, 2), "cifar": (3, 1)}[stem]
    x = _convolution(inputs, width, kernel, stride, "conv1")
    x = keras.layers.ReLU(name="relu1")(batch_norm("bn1")(x))
    if stem == "imagenet":
        # PyTorch pads with minus infinity; after a ReLU zeros are never the maximum either.
        x = keras.layers.ZeroPadding2D(1, name="pad_pool")(x)
        x = keras.layers.MaxPooling2D(3, 2, name="maxpool")(x)
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            x = _block(x, width * 2**stage, stride, bottleneck, f"layer{stage + 1}.{block}")
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="avgpool")(x), name=name)


def _block(x, channels: int, stride: int, bottleneck: bool, name: str):
    """One residual block; `channels` are those of its 3×3 convolutions."""
    out = channels * 4 if bottleneck else channels
    # (kernel, channels, stride) of each convolution of the block.
    plan = [(3, channels, stride), (3, channels, 1)]
    if bottleneck:
        plan = [(1, channels, 1), (3, channels, stride), (1, out, 1)]
    y = x
    for i, (kernel, filters, step) in enumerate(plan, start=1):
        last = i == len(plan)
        y = _convolution(y, filters, kernel, step, f"{name}.conv{i}")
        y = batch_norm(f"{name}.bn{i}", gamma_initializer="zeros" if last else "ones")(y)
        if not last:
            y = keras.layers.ReLU(name=f"{name}.relu{i}")(y)
    if stride != 1:
        # A 1×1 convolution with a stride is the same, but the gradient of its weights damages
        # memory in TensorFlow 2.21 with oneDNN, AVX2, one thread and fewer than 8 channels.
        x = keras.layers.AveragePooling2D(1, stride, name=f"{name}.downsample")(x)
    if stride != 1 or x.shape[-1] != out:
        x = _convolution(x, out, 1, 1, f"{name}.downsample.0")
        x = batch_norm(f"{name}.downsample.1")(x)
    return keras.layers.ReLU(name=f"{name}.relu")(keras.layers.Add(name=f"{name}.add")([y, x]))


def _convolution(x, filters: int, kernel: int, stride: int, name: str):
    """A convolution without bias, padded by (kernel - 1) / 2 on every side."""
    padding = "same"
    if kernel > 1 and stride > 1:
        # Keras's "same" would pad only on the right and at the bottom.
        x = keras.layers.ZeroPadding2D((kernel - 1) // 2, name=f"{name}.pad")(x)
        padding = "valid"
    return keras.layers.Conv2D(
        filters,
        kernel,
        stride,
        padding=padding,
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        name=name,
    )(x)
