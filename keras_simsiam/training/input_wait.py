"""The share of its steps that a training waits for its input, and what helps."""

from __future__ import annotations

import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import config  # the public API can only enable determinism

from keras_simsiam.config import Run
from keras_simsiam.data import ImageFiles
from keras_simsiam.training.inputs import Inputs

_LARGE = 0.2
"""The share of an epoch's steps from which on the log says what helps, ..."""
_LONG = 1.0
"""... if the epoch also waited for as many seconds."""

_AHEAD = 1024
"""The most batches that may have left the pipeline before their step begins."""


class InputWait(keras.callbacks.Callback):
    """Logs the share of its steps' time that an epoch waited for batches, as ``input_wait``.

    The pipeline records when each batch is ready. A step has waited if it began before that,
    whether it takes the batch from the pipeline or from what its devices have prefetched.
    The first step of each call of `fit`, which compiles and fills the pipeline, does not count.

    Args:
        steps: Steps of an epoch.
        remedies: What shortens the wait, for a line after the first long one.
    """

    def __init__(self, steps: int, remedies: Sequence[str] = ()):
        super().__init__()
        self._remedies = remedies
        with tf.device("CPU:0"):
            self._arrivals = tf.Variable(tf.zeros([steps + _AHEAD], tf.float64), trainable=False)
        self._begun: list[float] = []
        self._ended: list[float] = []
        self._first, self._epochs = 0, 0

    @staticmethod
    def measurable() -> bool:
        """Whether there is a clock in pipelines: not where operations must be deterministic."""
        return not config.is_op_determinism_enabled()

    def timed(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """The batches for a call of `fit`, with a record of when each is ready."""
        count = self._arrivals.shape[0]

        @tf.autograph.experimental.do_not_convert
        def noted(number: tf.Tensor, batch):
            self._arrivals.scatter_nd_update([[number % count]], [tf.timestamp()])
            return batch

        return batches.enumerate().map(noted)

    def on_train_begin(self, logs=None):
        """Starts with the first batch of a pipeline."""
        self._first = 0
        self._begun, self._ended = [], []

    def on_train_batch_begin(self, batch, logs=None):
        """Notes when a step begins."""
        self._begun.append(time.time())

    def on_train_batch_end(self, batch, logs=None):
        """Notes when it ends."""
        self._ended.append(time.time())

    def on_epoch_end(self, epoch, logs=None):
        """Logs the share, and says once what helps if it is large."""
        steps = self._first + np.arange(len(self._ended))
        begun, ended = np.array(self._begun), np.array(self._ended)
        arrived = self._arrivals.numpy()[steps % self._arrivals.shape[0]]
        waited = np.clip(arrived, begun, ended) - begun
        counted = steps > 0
        self._first += len(steps)
        self._epochs += 1
        self._begun, self._ended = [], []
        total = (ended - begun)[counted].sum()
        if total <= 0 or logs is None:
            return
        seconds = waited[counted].sum()
        logs["input_wait"] = share = float(seconds / total)
        if self._epochs > 1 and share > _LARGE and seconds > _LONG and self._remedies:
            print(
                f"{share:.0%} of the time of epoch {epoch + 1} was spent waiting for images; "
                f"what helps: {'; '.join(self._remedies)}",
                flush=True,
            )
            self._remedies = ()


def remedies(run: Run, inputs: Inputs, natively: bool, data_service: str | None) -> list[str]:
    """What shortens a run's wait for its input, each with its command or option.

    Args:
        run: The run.
        inputs: Its images.
        natively: Whether compiled operations make its views.
        data_service: The address of the service that makes them, if one does.
    """
    found = []
    if isinstance(inputs.images, ImageFiles) and run.data.dataset.startswith("folder:"):
        found.append("smaller images in few files, python -m keras_simsiam.pack --image-size")
    if run.data.augment_on == "host":
        if tf.config.list_physical_devices("GPU"):
            found.append("views made by the GPU, --augment-on device")
        if data_service is None and not natively:
            found.append("views by compiled operations, python -m keras_simsiam.native")
    more = "more workers of the data service"
    found.append(more if data_service else "views made by other machines, --data-service")
    return found
