"""Record files, in which each record can be read alone."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

HEADER = 12
"""Bytes before the data of a TFRecord: its length, and the checksum of that."""

_AROUND = HEADER + 4  # the checksum of the data follows it
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, the lowest bit first


class Shards(Sequence[str]):
    """Records in files. As a sequence, their names for messages.

    Attributes:
        files: Paths of the files.
        places: The file of each record, and where it is in that file: its first byte in a TFRecord
            file, its number in an ArrayRecord file. int64 ``[N, 2]``.
        is_array: Whether the files are ArrayRecord files, which the package array_record reads.
    """

    def __init__(self, files: Sequence[str], places: np.ndarray, is_array: bool = False):
        self.files = tuple(files)
        self.places = places
        self.is_array = is_array

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index):
        file, where = self.places[index].tolist()
        unit = "record" if self.is_array else "byte"
        return f"{self.files[file]}, {unit} {where:,}"

    def take(self, positions: Sequence[int] | np.ndarray | slice) -> Shards:
        """The records at some positions."""
        return Shards(self.files, self.places[positions], self.is_array)

    def at(self, positions: tf.Tensor) -> tf.Tensor:
        """The places at positions ``[...]``, int64 ``[..., 2]``, also in a graph."""
        return tf.gather(self._tensor, positions)

    def record(self, place: tf.Tensor) -> tf.Tensor:
        """The data at a place, a scalar string, of which TensorFlow checks the checksum.

        Nothing else of the file is read. It takes no Python, unless the files are of ArrayRecord.

        Raises:
            tf.errors.DataLossError: If the record is damaged or cut off.
        """
        if self.is_array:
            found = tf.numpy_function(self._of_array, [place[0], place[1]], tf.string)
            return tf.ensure_shape(found, [])
        # The operations behind tf.data.TFRecordDataset, which does not take byte offsets.
        from_here = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.gather(tf.constant(self.files), place[:1]),
            compression_type="",
            buffer_size=tf.constant(0, tf.int64),
            byte_offsets=place[1:],
        )
        kind = {"output_types": [tf.string], "output_shapes": [tf.TensorShape([])]}
        first = tf.raw_ops.TakeDataset(
            input_dataset=from_here, count=tf.constant(1, tf.int64), **kind
        )
        return tf.raw_ops.DatasetToSingleElement(dataset=first, **kind)[0]

    @functools.cached_property
    def _tensor(self) -> tf.Tensor:
        with tf.init_scope():  # it outlives the graph that asks for it first
            return tf.constant(self.places)

    def _of_array(self, file: np.ndarray, number: np.ndarray) -> bytes:
        return self._sources[int(file)][int(number)]

    @functools.cached_property
    def _sources(self) -> list:
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        return [ArrayRecordDataSource(file) for file in self.files]


def starts(path: str, count: int) -> tuple[np.ndarray, str]:
    """Where the records of a TFRecord file start, found by reading their lengths only.

    Args:
        path: The file.
        count: How many records it should have.

    Returns:
        The first byte of each, int64 ``[n]``; and if there are fewer than `count`, why.
    """
    found: list[int] = []
    headers: list[bytes] = []
    start = 0
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as e:
        return np.zeros(0, np.int64), e.strerror or str(e)
    try:
        size = os.fstat(file).st_size
        while len(found) < count:
            header = os.pread(file, HEADER, start)
            if len(header) < HEADER:
                break
            found.append(start)
            headers.append(header)
            start += int.from_bytes(header[:8], "little") + _AROUND
    finally:
        os.close(file)
    damaged = np.flatnonzero(~_intact(b"".join(headers)))
    if len(damaged):  # where the next record starts is not known either
        return np.array(found[: damaged[0]], np.int64), "a damaged length"
    whole = found[:-1] if start > size else found
    return np.array(whole, np.int64), "" if len(whole) == count else "the file is cut off"


def _intact(headers: bytes) -> np.ndarray:
    """Whether the checksum in each header is that of the length before it, bool ``[n]``."""
    rows = np.frombuffer(headers, np.uint8).reshape(-1, HEADER)
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in rows[:, :8].T:
        crc = _table()[(crc ^ column) & 0xFF] ^ (crc >> 8)
    crc = ~crc
    masked = (crc >> 15 | crc << 17) + np.uint32(0xA282EAD8)
    return masked == rows[:, 8:].copy().view("<u4")[:, 0]


@functools.cache
def _table() -> np.ndarray:
    """What each byte contributes to CRC-32C, uint32 ``[256]``."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table
