"""Small data that several tests make.

A package, because TensorFlow Datasets looks for files beside the builders in it.
"""

import keras
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image


def write_image(path, seed, size=(64, 64), mode="RGB", **options):
    """Writes a smooth random image, which JPEG keeps well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.RandomState(seed).randint(0, 256, (4, 4, 3), np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    image.convert(mode).save(path, **options)


class LocalOneSize(tfds.core.GeneratorBasedBuilder):
    """Makes its data itself: ten training and four test images, each gray by its number."""

    VERSION = tfds.core.Version("1.0.0")
    shape = (12, 12, 3)
    labeled = True
    dtype = np.uint8

    def _info(self):
        features = {"image": tfds.features.Image(shape=self.shape, dtype=self.dtype)}
        if self.labeled:
            features["label"] = tfds.features.ClassLabel(names=["even", "odd"])
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(10), "test": self._generate_examples(4)}

    def _generate_examples(self, count):
        for i in range(count):
            height = 12 if self.shape[0] else 12 + i
            image = np.full((height, 12, self.shape[-1]), 10 * i, self.dtype)
            yield i, {"image": image, **({"label": i % 2} if self.labeled else {})}


class LocalManySizes(LocalOneSize):
    """The same with another height for each image."""

    shape = (None, None, 3)


def weights_of(*values):
    """Weights of a layer, which the optimizers of both generations of Keras train."""
    layer = keras.layers.Layer()
    weights = [
        layer.add_weight(shape=np.shape(v), initializer="zeros", name=f"w{i}")
        for i, v in enumerate(values)
    ]
    for weight, value in zip(weights, values, strict=True):
        weight.assign(value)
    return weights
