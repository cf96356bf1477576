"""ResNets as torchvision defines them (He et al. 2016, v1.5), with the CIFAR stem and a width.

What differs from `keras.applications` and matters: padding is symmetric, a bottleneck strides in
its 3×3 convolution, BatchNorm has PyTorch's momentum and epsilon, convolutions start He-normal by
fan-out, and the last BatchNorm of each block starts at zero, as the authors' training sets it.
Layers carry torchvision's names, so that PyTorch's weights find their place.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_simsiam import _compat
from keras_simsiam.errors import InputError

STEMS = ("imagenet", "cifar")


def batch_norm(name: str, **kwargs) -> keras.layers.BatchNormalization:
    """PyTorch's BatchNorm: its momentum 0.1 is Keras's 0.9.

    Made inside the scope of a `tf.distribute.Strategy`, it sees the batch of all devices.
    """
    return _compat.BatchNormalization(
        momentum=0.9,
        epsilon=1e-5,
        # Not always: the moments of one device are computed more exactly without.
        synchronized=tf.distribute.get_strategy().num_replicas_in_sync > 1,
        name=name,
        **kwargs,
    )


def resnet18(width: int = 64, stem: str = "imagenet", name: str = "resnet18") -> keras.Model:
    """ResNet-18. See `resnet`; features have ``8 * width`` dimensions."""
    return resnet((2, 2, 2, 2), False, width, stem, name)


def resnet34(width: int = 64, stem: str = "imagenet", name: str = "resnet34") -> keras.Model:
    """ResNet-34. See `resnet`; features have ``8 * width`` dimensions."""
    return resnet((3, 4, 6, 3), False, width, stem, name)


def resnet50(width: int = 64, stem: str = "imagenet", name: str = "resnet50") -> keras.Model:
    """ResNet-50. See `resnet`; features have ``32 * width`` dimensions."""
    return resnet((3, 4, 6, 3), True, width, stem, name)


BACKBONES = {"resnet18": resnet18, "resnet34": resnet34, "resnet50": resnet50}


def resnet(
    blocks: tuple[int, int, int, int], bottleneck: bool, width: int, stem: str, name: str
) -> keras.Model:
    """A ResNet up to and including the global average pool.

    Args:
        blocks: Residual blocks in each of the four stages.
        bottleneck: Whether blocks are 1×1-3×3-1×1 bottlenecks instead of two 3×3 convolutions.
        width: Channels of the first stage; torchvision's is 64.
        stem: "imagenet" (7×7 stride 2, then 3×3 max-pool stride 2) or "cifar" (3×3 stride 1).
        name: Name of the model.

    Returns:
        A model from float32 ``[B, H, W, 3]`` of any size to features ``[B, D]``.

    Raises:
        InputError: If the stem or the width is none of those.
    """
    if stem not in STEMS:
        raise InputError(f"unknown stem '{stem}'; stems are {', '.join(STEMS)}")
    if width < 1:
        raise InputError(f"backbone width {width} is not a positive number of channels")
    inputs = keras.Input((None, None, 3), name="images")
    if stem == "imagenet":
        x = _convolution(inputs, width, 7, 2, "conv1")
        x = keras.layers.ReLU(name="relu1")(batch_norm("bn1")(x))
        # After a ReLU the zeros of the padding are PyTorch's minus infinity: never the maximum.
        x = keras.layers.ZeroPadding2D(1, name="pad_pool")(x)
        x = keras.layers.MaxPooling2D(3, 2, name="maxpool")(x)
    else:
        x = _convolution(inputs, width, 3, 1, "conv1")
        x = keras.layers.ReLU(name="relu1")(batch_norm("bn1")(x))
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            x = _block(x, width * 2**stage, stride, bottleneck, f"layer{stage + 1}.{block}")
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="avgpool")(x), name=name)


def _block(x, channels: int, stride: int, bottleneck: bool, name: str):
    """One residual block; `channels` are those of its 3×3 convolutions."""
    out = channels * 4 if bottleneck else channels
    # (kernel, channels, stride) of each convolution of the block.
    plan = (
        [(1, channels, 1), (3, channels, stride), (1, out, 1)]
        if bottleneck
        else [(3, channels, stride), (3, channels, 1)]
    )
    y = x
    for i, (kernel, filters, step) in enumerate(plan, start=1):
        last = i == len(plan)
        y = _convolution(y, filters, kernel, step, f"{name}.conv{i}")
        y = batch_norm(f"{name}.bn{i}", gamma_initializer="zeros" if last else "ones")(y)
        if not last:
            y = keras.layers.ReLU(name=f"{name}.relu{i}")(y)
    if stride != 1 or x.shape[-1] != out:
        x = _convolution(x, out, 1, stride, f"{name}.downsample.0")
        x = batch_norm(f"{name}.downsample.1")(x)
    return keras.layers.ReLU(name=f"{name}.relu")(keras.layers.Add(name=f"{name}.add")([y, x]))


def _convolution(x, filters: int, kernel: int, stride: int, name: str):
    """A convolution without bias, padded by (kernel - 1) / 2 on every side."""
    padding = "same"
    if kernel > 1 and stride > 1:
        # Keras's "same" would pad only on the right and below here.
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
