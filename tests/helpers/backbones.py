"""A network that is traced and compiled soon, where a test is not about ResNets.

As a program, ``python backbones.py train OPTION…``, it is one of the package's commands in which
every backbone is that network.
"""

import importlib
import sys

import keras

from keras_simsiam import options
from keras_simsiam.models.batch_norm import batch_norm
from keras_simsiam.models.resnet import BACKBONES


def tiny(width=1, stem="imagenet", channels=3):
    """A backbone of one convolution, with a ResNet-18's features and names of its first layers."""
    images = keras.Input((None, None, channels))
    x = keras.layers.Conv2D(8 * width, 3, 2, use_bias=False, name="conv1")(images)
    x = keras.layers.ReLU()(batch_norm("bn1")(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


TINY = dict.fromkeys(BACKBONES, tiny)


if __name__ == "__main__":
    _, command, *argv = sys.argv
    BACKBONES.update(TINY)
    sys.argv = [command, *argv]
    options.run_command(importlib.import_module(f"keras_simsiam.{command}").main)
