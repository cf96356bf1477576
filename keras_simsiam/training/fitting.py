"""The settings of a run that follow from a user's own images, and how long it will take."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from keras_simsiam import options, presets
from keras_simsiam.config import Run
from keras_simsiam.errors import InputError
from keras_simsiam.training.folder import RunFolder
from keras_simsiam.training.output import Output

_OWN = ("folder", "records")
"""Kinds of datasets of a user's own images."""

_LOOKED_AT = 64
"""Images whose size is looked at."""

_MULTIPLICATIONS = {"resnet18": 1.82e9, "resnet34": 3.67e9, "resnet50": 4.11e9}
"""Of a pass over an image of 224×224 pixels, at a width of 64."""

_CIFAR_STEM = 15
"""How many times as many there are with the stem that does not reduce the image."""

_CONVOLVED, _STEP, _VIEWED = 0.7, 0.02, 1.2e-8
"""A step's share of the speed of a matrix product, its seconds besides, and those for a pixel of a
view: rounded from processor time on two cores of an AMD EPYC, at 32 and 64 pixels."""


class Fitting:
    """Chooses settings for a user's images; for a run that is resumed, those that it began with.

    Args:
        argv: The command's arguments.

    Attributes:
        reason: Why the settings are what they are; None if they have not been chosen.
    """

    def __init__(self, argv: Sequence[str] | None):
        self._argv = argv
        self._images = 0
        self.reason: str | None = None

    def fit(self, dataset: str, method: str | None) -> Run | None:
        """Settings for images in files or records; None for another dataset, or without images."""
        kind, _, path = dataset.partition(":")
        if kind not in _OWN:
            return None
        begun = self._begun(dataset)
        if begun is not None:
            return begun

        import tensorflow as tf

        from keras_simsiam.data import folder, records

        look = {"folder": folder.look, "records": records.look}[kind]
        try:
            self._images, side = look(path, _LOOKED_AT)
        except InputError:  # which is for all processes, and raised when the images are loaded
            return None
        gpu = bool(tf.config.list_physical_devices("GPU"))
        run, self.reason = presets.fitted(self._images, side, gpu, method)
        return run

    def describe(self, run: Run) -> str:
        """Three lines: the reason, the settings, and how many minutes they will take."""
        t, m, size = run.training, run.model, run.data.image_size
        of = f"{t.epochs} epochs of {self._images // t.batch_size:,} steps of {t.batch_size} images"
        return (
            f"chosen for    {self.reason}\n"
            f"settings      {m.architecture}, views of {size}×{size} pixels, {of}; "
            "options override each\n"
            f"will take     {self._minutes(run)}\n"
        )

    def _minutes(self, run: Run) -> str:
        import tensorflow as tf

        t, m, size = run.training, run.model, run.data.image_size or 224
        if tf.config.list_physical_devices("GPU") or m.backbone not in _MULTIPLICATIONS:
            return "what the first epoch shows as minutes left"
        share = (size / 224) ** 2 * (m.width / 64) ** 2
        share *= _CIFAR_STEM if m.stem == "cifar" else 1
        products = _MULTIPLICATIONS[m.backbone] * share
        views = m.view_count + m.small_views * 0.2
        # Forward, and backward for weights and inputs; a multiplication and an addition.
        computed = 3 * 2 * products * views / (_CONVOLVED * _speed())
        viewed = views * size**2 * _VIEWED
        steps = t.epochs * (self._images // t.batch_size)
        minutes = steps * (_STEP + t.batch_size * (computed + viewed)) / 60
        return f"about {math.ceil(minutes):,} min on this processor"

    def _begun(self, dataset: str) -> Run | None:
        """The settings of the run that is to be resumed; None if there is none."""
        parser = options.Parser("train", "")
        parser.add_arguments(Output, dest="output")
        output: Output = parser.parse_known_args(self._argv)[0].output
        return RunFolder(output, dataset).settings() if output.resume else None


def _speed() -> float:
    """Operations a second of a matrix product, which takes a tenth of a second to measure.

    It is NumPy's: TensorFlow's devices and threads cannot be chosen once it has computed something.
    """
    import numpy as np  # which --help need not import

    side, matrix = 1024, np.ones([1024, 1024], np.float32)
    matrix @ matrix
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < 0.1:
        matrix @ matrix
        done += 1
    return 2 * side**3 * done / (time.perf_counter() - started)
