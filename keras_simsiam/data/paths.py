"""The paths of many files, in little memory."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import tensorflow as tf


class Paths(Sequence[str]):
    """Paths of files, of which each folder's is kept once.

    Of ImageNet's files they take about 80 bytes each, where a list of strings takes 125.

    Attributes:
        folders: Paths of folders. Files of one folder follow each other, unless others are sorted
            in between; then the folder is listed again.
        folder_of: The position in `folders` for each file, ascending, int32 ``[N]``.
        names: The files' own names.
    """

    def __init__(self, folders: list[str], folder_of: np.ndarray, names: list[str]):
        self.folders = folders
        self.folder_of = np.asarray(folder_of, np.int32)
        self.names = names

    @classmethod
    def of(cls, paths: Sequence[str]) -> Paths:
        """Any paths; `Paths` are returned as they are."""
        if isinstance(paths, Paths):
            return paths
        folders: list[str] = []
        folder_of, names = [], []
        for folder, name in map(os.path.split, paths):
            if not folders or folders[-1] != folder:
                folders.append(folder)
            folder_of.append(len(folders) - 1)
            names.append(name)
        return cls(folders, np.array(folder_of, np.int32), names)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        for folder, files in self.runs():
            start = os.path.join(folder, "")
            for name in self.names[files]:
                yield start + name

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Paths: ...

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        return os.path.join(self.folders[self.folder_of[index]], self.names[index])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"<{len(self):,} paths in {len(self.folders):,} folders>"

    def take(self, positions: Sequence[int] | np.ndarray) -> Paths:
        """The paths at some positions."""
        array = np.asarray(positions, np.int64)
        if len(array) == len(self) and np.array_equal(array, np.arange(len(self))):
            return self
        of = self.folder_of[array]
        if (of[1:] < of[:-1]).any():
            return Paths.of([self[i] for i in positions])
        return Paths(self.folders, of, [self.names[i] for i in positions])

    def ending_with(self, suffixes: tuple[str, ...]) -> list[int]:
        """The positions of files whose names end so, with small letters or capitals."""
        together = "/".join(self.names).lower()
        if not any(suffix in together for suffix in suffixes):  # sooner than to look at each
            return []
        return [i for i, name in enumerate(self.names) if name.lower().endswith(suffixes)]

    def runs(self) -> Iterator[tuple[str, slice]]:
        """Each folder, and where its files are."""
        ends = np.searchsorted(self.folder_of, np.arange(len(self.folders) + 1)).tolist()
        yield from ((f, slice(ends[i], ends[i + 1])) for i, f in enumerate(self.folders))

    def at(self, positions: tf.Tensor) -> tf.Tensor:
        """The paths at positions of any shape as strings of TensorFlow, also in a graph.

        Those that are not UTF-8 are the bytes that the system knows them by.
        """
        folders, folder_of, names = self._tensors
        starts = tf.gather(folders, tf.gather(folder_of, positions))
        return tf.strings.join([starts, tf.gather(names, positions)])

    @functools.cached_property
    def _tensors(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        starts = [os.fsencode(os.path.join(folder, "")) for folder in self.folders]
        names = [os.fsencode(name) for name in self.names]
        with tf.init_scope():  # they outlive the graph that asks for them first
            return tf.constant(starts), tf.constant(self.folder_of), tf.constant(names)
