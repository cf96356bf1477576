"""What is measured of a sample of images: the range of their values, their mean and their std."""

from __future__ import annotations

import collections
import os

import numpy as np
import tensorflow as tf

from keras_simsiam.augmentation import IMAGENET_MEAN, IMAGENET_STD, Augmentation
from keras_simsiam.data.decoding import deep_values
from keras_simsiam.data.images import Images
from keras_simsiam.data.paths import Paths
from keras_simsiam.errors import InputError
from keras_simsiam.pixels import Pixels

SHARES = (0.1, 99.9)
"""Percentiles of the values of all images that become 0 and 255; what is beyond is clipped.
Hot pixels of a camera would take up most of the range from the smallest to the largest value."""

_WHOLE = tuple(float(2**bits - 1) for bits in range(8, 17))  # the ranges of cameras
_FILLED = 0.8  # of such a range, or from 0 to 1, so that the same picture of 8 bits is the same

MOST_LOOKED_AT = 1024
"""Files whose bits are looked at, evenly spaced."""

_MEASURED = 64  # files whose values are read
_VALUES = 2**16  # pixels of each
_MOST_CHANNELS = 256
_SAMPLE, _SIDE = 512, 64  # images for mean and std, and the side to which they are resized


def measured(files: Paths, pixels: Pixels) -> Pixels:
    """The pixels with the range of files of more than 8 bits, if there are any.

    With one or three channels, all have the same range, so that colors are kept; else each has its
    own, because they are different measurements.

    Args:
        files: The files.
        pixels: The channels, and the range if it is known, which is kept.
    """
    if pixels.high:
        return pixels
    looked_at = files[:: max(1, len(files) // MOST_LOOKED_AT)]
    deep = [path for path in looked_at if _may_be_deep(path)]
    read, rows = deep_values(pixels.channels), []
    for path in deep[:: max(1, len(deep) // _MEASURED)][:_MEASURED]:
        try:
            values = read(tf.io.read_file(os.fsencode(path))).numpy()
        except tf.errors.OpError:  # is reported when all are checked
            continue
        flat = values.reshape(-1, pixels.channels)
        rows.append(flat[:: max(1, len(flat) // _VALUES)])
    found = np.concatenate([np.zeros((0, pixels.channels), np.float32), *rows])
    if not np.isfinite(found).any():
        return pixels
    if pixels.channels in (1, 3):
        found = np.repeat(found.reshape(-1, 1), pixels.channels, axis=1)
    finite = (channel[np.isfinite(channel)] for channel in found.T)
    low, high = zip(*map(_range, finite), strict=True)
    return pixels.replace(low=low, high=high)


def channels_of_most(files: Paths) -> int:
    """The channels of most of some files; 3 for those that can be read as RGB.

    Args:
        files: The files, of which 64 are looked at, evenly spaced.
    """
    counts = collections.Counter(map(_channels, files[:: max(1, len(files) // _MEASURED)]))
    ((channels, _),) = counts.most_common(1)
    return channels


def fitted(augmentation: Augmentation, images: Images) -> Augmentation:
    """The augmentation with mean and std of the images where these are to be measured.

    Without three channels, operations on color are left out, and ImageNet's mean and std, the
    defaults, are measured, too.

    Args:
        augmentation: The augmentation.
        images: The images.

    Raises:
        InputError: If mean and std have another number of channels than the images.
    """
    defaults = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    open_ones = {"auto"} if images.channels == 3 else {"auto", *defaults.values()}
    names = [name for name in defaults if getattr(augmentation, name) in open_ones]
    found = dict(zip(defaults, mean_and_std(images), strict=True)) if names else {}
    fitting = augmentation.replace(**{name: found[name] for name in names})
    if fitting.channels != images.channels:
        raise InputError(
            f"mean and std must have {images.channels} numbers, one for each channel, or be auto; "
            f"got {fitting.channels}"
        )
    return fitting if images.channels == 3 else fitting.without_color()


def mean_and_std(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of values in [0, 1], rounded to three digits.

    Args:
        images: The images, of which about 512 are taken, evenly spaced.
    """
    sums, count = np.zeros((2, images.channels)), 0
    for batch in images.sample(_SAMPLE).resized(_SIDE):
        values = tf.reshape(batch, [-1, batch.shape[-1]]).numpy() / 255.0
        sums += np.stack([values.sum(axis=0), (values**2).sum(axis=0)])
        count += len(values)
    mean, squares = sums / count
    std = np.sqrt(np.maximum(squares - mean**2, 0.0))
    return (
        tuple(np.round(mean, 3).tolist()),
        tuple(np.maximum(np.round(std, 3), 0.001).tolist()),
    )


def _range(values: np.ndarray) -> tuple[float, float]:
    """The range of the values of a channel: that of their bits, if they nearly fill it."""
    if not len(values):
        return 0.0, 1.0
    low, high = np.percentile(values.astype(np.float64), SHARES).tolist()
    is_whole = bool((values == np.rint(values)).all())
    for largest in _WHOLE if is_whole else (1.0,):
        if low >= 0 and high <= largest and high - low >= _FILLED * largest:
            return 0.0, largest
    return low, high if high > low else low + 1.0  # a channel may have one value only


def _channels(path: str) -> int:
    """The channels of a file; 3 if it can be read as RGB, or not at all."""
    if not path.lower().endswith(".npy"):
        return 3
    try:
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError, EOFError):  # is reported when all are read
        return 3
    channels = min(shape[0], shape[-1]) if len(shape) == 3 else 1
    return channels if 1 < channels <= _MOST_CHANNELS else 3


def _may_be_deep(path: str) -> bool:
    """Whether a file may have more than 8 bits a channel."""
    name = path.lower()
    if name.endswith(".npy"):
        return True
    if not name.endswith(".png"):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(25)[24:] == b"\x10"
    except OSError:  # is reported when all are checked
        return False
