"""Features of many images: in their order, whole or cropped, without using up memory."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam import KNNMonitor, Preprocessing, resnet18
from keras_simsiam.augmentation import IMAGENET_MEAN, IMAGENET_STD
from keras_simsiam.evaluation import Encoder, augmented_features, extract, raw_pixels


def test_features_are_in_the_order_of_their_images():
    images = np.random.RandomState(0).randint(0, 256, (300, 32, 32, 3), np.uint8)
    expected = ((images / 255.0 - IMAGENET_MEAN) / IMAGENET_STD).reshape(300, -1)
    np.testing.assert_allclose(extract(raw_pixels, images), expected, atol=1e-5)


def test_evaluations_do_not_use_up_memory():
    psutil = pytest.importorskip("psutil")
    images = np.zeros((20_000, 32, 32, 3), np.uint8)  # 61 MB
    labels = np.zeros(20_000, int)
    pooled = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D()])
    whole = KNNMonitor(images, labels, images[:256], labels[:256])
    whole.set_model(pooled)
    small = KNNMonitor(images[:256], labels[:256], images[:256], labels[:256])
    small.set_model(resnet18(width=2))
    for monitor in 3 * (whole, small):
        monitor.evaluate()

    def grown(monitor, times):
        """Bytes in the best of three rounds: what leaks does so in each, unlike allocators."""
        sizes = [psutil.Process().memory_info().rss]
        for _ in range(3):
            for _ in range(times):
                monitor.evaluate()
            sizes.append(psutil.Process().memory_info().rss)
        return min(np.diff(sizes))

    assert grown(whole, 4) < images.nbytes  # no copies of the images
    assert grown(small, 15) < 15 * 2**17  # a function that is traced takes four times as much


def test_augmented_features_are_of_random_crops_and_flips_of_each_epoch():
    ramp = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8), (64, 64))
    images = np.broadcast_to(ramp[None, :, :, None], (300, 64, 64, 3)).copy()

    def left_and_right(batch):
        assert batch.dtype == tf.uint8
        return tf.reduce_mean(tf.cast(batch, tf.float32), [1, 3])[:, ::31]

    encoder = Encoder(left_and_right, Preprocessing(32))
    of_epoch = augmented_features(encoder, images, seed=1)
    first, again, second = of_epoch(0), of_epoch(0), of_epoch(1)
    assert first.shape == (300, 2)
    np.testing.assert_array_equal(first, again)
    assert (first != second).any(axis=1).mean() > 0.9
    width = (first[:, 1] - first[:, 0]) / 252  # of the crop; negative if it is flipped
    assert 0.4 < (width < 0).mean() < 0.6
    # Areas from 8% to 100%, ratios from 3/4 to 4/3: widths from 0.24 to 1.
    assert 0.2 < np.abs(width).min() < 0.4
    assert 0.85 < np.abs(width).max() <= 1.01
    np.testing.assert_array_equal(augmented_features(encoder, images[:7], seed=1)(0), first[:7])
