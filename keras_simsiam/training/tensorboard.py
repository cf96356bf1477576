"""Writes TensorBoard's logs of a run; a resumed run continues them without gaps or duplicates."""

from __future__ import annotations

import functools
import pathlib

import keras
import tensorflow as tf

from keras_simsiam import metrics
from keras_simsiam.files import written_atomically


class EpochCurves(keras.callbacks.Callback):
    """Writes what each epoch logs as curves for TensorBoard.

    Keras's own callback keeps the last points in memory for minutes, so that a kill loses them, and
    shows the learning rate of the step after the epoch.

    Args:
        folder: Folder of the logs.
    """

    def __init__(self, folder: pathlib.Path):
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch, logs=None):
        """Writes a point of each curve."""
        with self._writer.as_default(step=epoch):
            for name, value in (logs or {}).items():
                if metrics.describe(name).curve:
                    tf.summary.scalar(f"epoch_{name}", value)
        self._writer.flush()

    @functools.cached_property
    def _writer(self) -> tf.summary.SummaryWriter:
        return tf.summary.create_file_writer(str(self.folder))


def keep_epochs(folder: pathlib.Path, epochs: int) -> None:
    """Removes the logs of later epochs, which will be trained again.

    Args:
        folder: Folder of the logs, with subfolders.
        epochs: Number of epochs whose logs are kept.
    """
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        records, complete = _records(path)
        kept = [record for record, step in records if step is None or step < epochs]
        if complete and len(kept) == len(records):
            continue
        with (
            written_atomically(path) as partial,
            tf.io.TFRecordWriter(str(partial)) as file,
        ):
            for record in kept:
                file.write(record)


def _records(path: pathlib.Path) -> tuple[list[tuple[bytes, int | None]], bool]:
    """The events in a file, each with its epoch or None, and whether the last is complete."""
    records: list[tuple[bytes, int | None]] = []
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            records.append((record, event.step if event.HasField("summary") else None))
    except tf.errors.DataLossError:  # the process was killed while it wrote
        return records, False
    return records, True
