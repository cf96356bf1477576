"""Features of every image of a collection, written as they are computed."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras_simsiam import documents
from keras_simsiam.collection.encoders import find_encoder, probe
from keras_simsiam.collection.features import Features, Origin, check_format, write
from keras_simsiam.collection.sources import Source, find_source
from keras_simsiam.data import ImagesLike
from keras_simsiam.data.progress import Progress
from keras_simsiam.errors import InputError, Terminated
from keras_simsiam.evaluation import Encoder
from keras_simsiam.fields import checks_arguments
from keras_simsiam.files import claimed, discard, write_json, written_atomically

PART = 4096
"""Images after which their features are written, so that an interrupted command goes on there."""


class Embedded(NamedTuple):
    """What was written.

    Attributes:
        images: Number of images.
        dimension: Of their features.
        left_out: What is not among them, and why; empty if nothing is missing.
    """

    images: int
    dimension: int
    left_out: str


@checks_arguments
def embed(
    encoder: Encoder | keras.Model | str | os.PathLike,
    images: ImagesLike | Sequence[str | os.PathLike] | str | os.PathLike,
    split: str = "train",
    data_dir: str | None = None,
) -> Features:
    """Features of every image of a collection, each with its name.

    ::

        features = ks.embed("saved_models/mine", "folder:photos")
        features.names[0], features.values[0]  # "2019/beach.jpg", float32 [D]
        features.save("features.npz")

    Args:
        encoder: An `Encoder`, a Keras model, or what `find_encoder` takes, such as the folder of a
            SavedModel.
        images: "folder:PATH" or a folder, for all images in it at any depth; the name of another
            dataset; one image file or a list of them; or images as `keras_simsiam.load` returns
            them.
        split: The split of another dataset.
        data_dir: See `keras_simsiam.load`.

    Returns:
        The features of all images that can be read, in the order of their names.

    Raises:
        InputError: If there is no such encoder, or there are no images that can be read.
    """
    source = find_source(images, split, data_dir)
    return features_of(*named_encoder(encoder, source), source)


def features_of(encoder: Encoder, origin: Origin, source: Source) -> Features:
    """Features of the images that can be read, whose origin is known."""
    source = source.seen_by(encoder.preprocessing)
    found = [*computed(encoder, source, 0, len(source))]
    if not found:
        raise source.none_read()
    positions = np.concatenate([rows for rows, _ in found])
    names, labels = _of_rows(source, positions)
    return Features(names, np.concatenate([values for _, values in found]), labels, origin)


def embed_to_file(
    encoder: str,
    source: Source,
    output: str | os.PathLike,
    shard: tuple[int, int] = (1, 1),
    image_size: int | None = None,
) -> Embedded:
    """Writes the features of a collection, with memory that its size does not change.

    Features are written in parts to a hidden folder beside the file. If it is interrupted, the
    same call goes on with the images that are left.

    Args:
        encoder: See `find_encoder`.
        source: The images.
        output: The file, which ends in ``.npz``, ``.csv`` or ``.parquet``.
        shard: ``(3, 8)`` for the third of eight equal shares of the images.
        image_size: See `find_encoder`.

    Raises:
        InputError: If an argument is invalid, or no image can be read.
        Terminated: If it is interrupted.
    """
    check_format(output)
    output = pathlib.Path(output)
    number, of = shard
    start, end = ((k * len(source)) // of for k in (number - 1, number))
    if start == end:
        raise InputError(f"shard {number}/{of} would be empty: there are {len(source)} images")
    with claimed(output, beside=True):
        found, origin = named_encoder(encoder, source, image_size)
        source = source.seen_by(found.preprocessing)
        work = output.with_name(f".embedding.{output.name}")
        parts = _Parts(work, {"images": source.fingerprint(), "part": [start, end]}, origin.probe)
        try:
            parts.make(found, source, start, end)
        except KeyboardInterrupt as e:
            raise Terminated.of(e, "the same command goes on") from None
        positions = parts.positions()
        if not len(positions):
            discard(work)
            raise source.none_read(start)
        for i in sorted({*range(start, end)} - {*positions.tolist()}):
            source.left_out.add(f"unreadable, {source.why(i)}", source.names[i])
        names, labels = _of_rows(source, positions)
        dimension = len(origin.probe)
        write(output, names, labels, dimension, parts.blocks(), origin)
        discard(work)
    return Embedded(len(names), dimension, str(source.left_out))


def named_encoder(
    encoder: Encoder | keras.Model | str | os.PathLike,
    source: Source,
    image_size: int | None = None,
) -> tuple[Encoder, Origin]:
    """An encoder, and the origin of its features of images."""
    name = os.fspath(encoder) if isinstance(encoder, str | os.PathLike) else ""
    if name:
        encoder = find_encoder(name, image_size, source.images.channels)
    elif not isinstance(encoder, Encoder):
        encoder = Encoder.of(encoder)
    return encoder, Origin(source.place, name, probe(encoder))


def computed(
    encoder: Encoder, source: Source, start: int, end: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions int64 ``[B]`` and features float32 ``[B, D]`` of the images that can be read."""
    for positions, images in source.read(encoder.image_size, start, end):
        yield positions, np.asarray(encoder(images))


def _of_rows(source: Source, positions: np.ndarray) -> tuple[list[str], list[str] | None]:
    names = [source.names[i] for i in positions]
    return names, None if source.labels is None else [source.labels[i] for i in positions]


class _Parts:
    """Features that have been written so far, in files of a folder."""

    def __init__(self, folder: pathlib.Path, plan: dict, of_probe: np.ndarray):
        self.folder = folder
        plan = {**plan, "dimension": len(of_probe)}
        before = folder / "plan.json"
        if before.exists():
            known = documents.read_json(before)
            same_model = Origin(probe=np.array(known.pop("probe"), np.float32)).is_of(of_probe)
            if known == plan and same_model:
                return
            discard(folder)
        write_json(before, {**plan, "probe": of_probe.tolist()})

    def make(self, encoder: Encoder, source: Source, start: int, end: int) -> None:
        """Computes and writes what is missing."""
        files = self._files()
        begin = start if not files else int(np.load(files[-1])["end"])
        waiting: list[tuple[np.ndarray, np.ndarray]] = []
        count = 0
        say = Progress("embedded", end - start, begin - start)
        for positions, values in computed(encoder, source, begin, end):
            waiting.append((positions, values))
            count += len(positions)
            say(int(positions[-1]) + 1 - start)
            if count >= PART:
                self._write(waiting, int(positions[-1]) + 1)
                waiting, count = [], 0
        if waiting:
            self._write(waiting, end)

    def positions(self) -> np.ndarray:
        """Positions of all images whose features have been written, int64 ``[N]``."""
        rows = [np.load(file)["positions"] for file in self._files()]
        return np.concatenate([np.zeros(0, np.int64), *rows])

    def blocks(self) -> Iterator[np.ndarray]:
        """Their features, part by part."""
        for file in self._files():
            yield np.load(file)["features"]

    def _write(self, waiting: list[tuple[np.ndarray, np.ndarray]], end: int) -> None:
        positions, values = (np.concatenate(part) for part in zip(*waiting, strict=True))
        with written_atomically(self.folder / f"{len(self._files()):08}.npz") as partial:
            np.savez(partial, positions=positions, features=values, end=end)

    def _files(self) -> list[pathlib.Path]:
        return sorted(self.folder.glob("[0-9]*.npz"))
