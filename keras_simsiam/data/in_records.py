"""Images in record files, of many sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from keras_simsiam.data import fingerprint
from keras_simsiam.data.reading import Unreadable
from keras_simsiam.data.separate import SeparateImages
from keras_simsiam.data.shards import Shards
from keras_simsiam.errors import InputError


@dataclass(frozen=True, eq=False)
class ImageRecords(SeparateImages):
    """Images in TFRecord or ArrayRecord files, each read and decoded when it is needed.

    Attributes:
        shards: The records.
        decode: A function from a record to its image, uint8 ``[H, W, C]``.
        unreadable: Counts the records that can no longer be read, and those that were left out.
        depth: C.
    """

    shards: Shards
    decode: Callable[[tf.Tensor], tf.Tensor]
    unreadable: Unreadable = field(default=None)  # type: ignore[assignment]
    depth: int = 3

    def __post_init__(self) -> None:
        if self.unreadable is None:
            object.__setattr__(self, "unreadable", Unreadable(len(self.shards)))

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return self.depth

    def __len__(self) -> int:
        return len(self.shards)

    def at(self, positions: tf.Tensor) -> tf.Tensor:
        """Their places, see `Shards`."""
        return self.shards.at(positions)

    def read(self, place: tf.Tensor) -> tf.Tensor:
        """The image in a record."""
        return self.decode(self.shards.record(place))

    def name(self, position: int) -> str:
        """The file, and where the record is in it."""
        return self.shards[position]

    def take(self, positions: Sequence[int] | np.ndarray) -> ImageRecords:
        """Other records of the same files."""
        return dataclasses.replace(self, shards=self.shards.take(list(positions)))

    def check_sendable(self) -> None:
        """Raises InputError if workers would need more than TensorFlow to read the records."""
        if self.shards.is_array:
            raise InputError(
                "data_service: records must be in TFRecord files, because its workers may have "
                "TensorFlow only; got ArrayRecord files"
            )

    def fingerprint(self) -> str:
        """Of the record files' names and sizes."""
        return fingerprint.of_files(self.shards.files)
