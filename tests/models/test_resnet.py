"""ResNets against torchvision's: sizes, strides, initial weights."""

import re
import typing

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam import InputError, resnet18, resnet34, resnet50
from keras_simsiam.backbone_rules import ResNet
from keras_simsiam.models import resnet as module


def parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize(
    ("resnet", "with_classifier", "features"),
    [
        # torchvision's counts, its classifier of 1,000 classes included.
        (resnet18, 11_689_512, 512),
        (resnet34, 21_797_672, 512),
        (resnet50, 25_557_032, 2048),
    ],
)
def test_parameter_counts_are_torchvisions(resnet, with_classifier, features):
    model = resnet()
    assert model.output_shape == (None, features)
    assert parameters(model) == with_classifier - (features + 1) * 1000


def test_every_resnet_of_the_module_is_a_choice():
    """Fails if a new backbone's function was written but its name was forgotten."""
    assert {name for name in vars(module) if re.fullmatch(r"resnet\d+", name)} == set(
        typing.get_args(ResNet)
    )


@pytest.mark.parametrize(("stem", "sides"), [("imagenet", (8, 4, 2, 1)), ("cifar", (32, 16, 8, 4))])
def test_stem_and_stages_have_the_strides_of_their_kind(stem, sides):
    model = resnet18(width=2, stem=stem)
    ends = [model.get_layer(f"layer{i}.1.relu").output for i in (1, 2, 3, 4)]
    outputs = keras.Model(model.input, ends)(tf.zeros([1, 32, 32, 3]))
    assert tuple(o.shape[1] for o in outputs) == sides
    assert tuple(o.shape[3] for o in outputs) == (2, 4, 8, 16)


def test_bottleneck_strides_in_its_3x3_convolution():
    model = resnet50(width=2)
    strides = [model.get_layer(f"layer2.0.conv{i}").strides for i in (1, 2, 3)]
    assert strides == [(1, 1), (2, 2), (1, 1)]
    assert model.get_layer("layer2.0.downsample").strides == (2, 2)
    assert model.output_shape == (None, 64)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 64)])
def test_images_of_any_size_give_one_vector_each(size):
    assert resnet18(width=2)(tf.zeros([3, *size, 3])).shape == (3, 16)


def test_convolutions_start_he_normal_by_fan_out():
    stats = pytest.importorskip("scipy.stats")
    kernel = resnet18().get_layer("layer2.0.conv1").kernel.numpy()
    assert kernel.shape == (3, 3, 64, 128)
    expected = stats.norm(0, np.sqrt(2 / (9 * 128)))
    assert stats.kstest(kernel.ravel()[::7], expected.cdf).pvalue > 1e-4


@pytest.mark.parametrize(("resnet", "last"), [(resnet18, "bn2"), (resnet50, "bn3")])
def test_last_gain_of_each_block_starts_at_zero_and_no_other(resnet, last):
    for layer in resnet(width=2).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            ends_block = layer.name.startswith("layer") and layer.name.endswith(last)
            assert (layer.gamma.numpy() == (0 if ends_block else 1)).all(), layer.name
            assert layer.momentum == 0.9
            assert layer.epsilon == 1e-5


@pytest.mark.parametrize(("arguments", "named"), [({"stem": "vit"}, "'vit'"), ({"width": 0}, "0")])
def test_unknown_stem_and_width_are_named(arguments, named):
    with pytest.raises(InputError, match=named):
        resnet18(**arguments)
