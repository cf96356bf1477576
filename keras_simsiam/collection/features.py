"""Features of a collection of images, with the name of each image, and the files that hold them."""

from __future__ import annotations

import collections
import csv
import json
import os
import pathlib
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from keras_simsiam.arrays import as_features
from keras_simsiam.errors import InputError, first_line, shown
from keras_simsiam.fields import checks_arguments
from keras_simsiam.files import spreadsheet_text, spreadsheet_value, written_atomically

FORMATS = (".npz", ".csv", ".parquet")
"""The endings of files of features."""

_SAME = 1e-3
"""Largest relative distance of the probes of one model, as computed on two machines."""


@dataclass(frozen=True, eq=False)
class Origin:
    """Where features come from; a CSV file does not say it.

    Attributes:
        images: The folder that the names are relative to, or the name of a dataset; "" if unknown.
        encoder: What `find_encoder` makes the encoder of; "" if unknown.
        probe: Features of one fixed image, float32 ``[D]``, by which the encoder is recognized
            wherever it is stored; empty if unknown.
    """

    images: str = ""
    encoder: str = ""
    probe: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    def is_of(self, probe: np.ndarray) -> bool:
        """Whether the features are of the encoder with this probe; True if that is not known."""
        if not self.probe.size or self.probe.shape != probe.shape:
            return not self.probe.size
        distance = float(np.linalg.norm(self.probe - probe))
        return distance <= _SAME * max(float(np.linalg.norm(self.probe)), 1e-12)


@dataclass(frozen=True, eq=False)
class Features:
    """Features of images; row i of everything belongs to one image.

    Attributes:
        names: Their names: paths relative to the folder, or numbers.
        values: float32 ``[N, D]``.
        labels: Names of their classes, "" for an image without; None if none has one.
        origin: Where they come from.
    """

    names: list[str]
    values: np.ndarray
    labels: list[str] | None = None
    origin: Origin = field(default_factory=Origin)

    def __post_init__(self) -> None:
        values = as_features(self.values, "features")
        object.__setattr__(self, "values", values)
        for what in ("names", "labels"):
            given = getattr(self, what)
            if given is not None and len(given) != len(values):
                raise InputError(f"{what} must be one for each of {len(values)}; got {len(given)}")

    def __len__(self) -> int:
        return len(self.names)

    def row(self) -> dict[str, int]:
        """The row of each name."""
        return {name: i for i, name in enumerate(self.names)}

    @checks_arguments
    def save(self, path: str | os.PathLike) -> None:
        """Writes a file that `read` reads: ``.npz``, ``.csv``, or ``.parquet`` with pyarrow.

        Raises:
            InputError: If the file cannot have this ending.
        """
        check_format(path)
        write(path, self.names, self.labels, self.values.shape[1], [self.values], self.origin)

    @classmethod
    @checks_arguments
    def read(cls, *paths: str | os.PathLike) -> Self:
        """Reads what `save` or the command ``embed`` wrote: one file, or several shards in order.

        Raises:
            InputError: If a file is none of features, or they are of different models or images.
        """
        parts = [_read(pathlib.Path(path)) for path in paths]
        first = parts[0]
        for path, part in zip(paths, parts, strict=True):
            if part.values.shape[1] != first.values.shape[1] or not (
                part.origin.is_of(first.origin.probe) or not first.origin.probe.size
            ):
                raise InputError(f"'{path}' must have features of the model of '{paths[0]}'")
        names = [name for part in parts for name in part.names]
        (twice, times), *_ = collections.Counter(names).most_common(1)
        if times > 1:
            raise InputError(f"'{paths[-1]}' must name each image once; got {shown(twice)} twice")
        labels = None
        if any(part.labels is not None for part in parts):
            labels = [label for p in parts for label in p.labels or [""] * len(p)]
        return cls(names, np.concatenate([p.values for p in parts]), labels, first.origin)


def check_format(path: str | os.PathLike) -> None:
    """Raises InputError unless a file of features can be written to a path."""
    suffix = pathlib.Path(path).suffix
    if suffix not in FORMATS:
        raise InputError(f"output must end in {', '.join(FORMATS)}; got '{path}'")
    if suffix == ".parquet":
        _pyarrow(path)


def write(
    path: str | os.PathLike,
    names: Sequence[str],
    labels: Sequence[str] | None,
    dimension: int,
    blocks: Iterable[np.ndarray],
    origin: Origin,
) -> None:
    """Writes features, atomically, without holding them all in memory.

    Args:
        path: The file; its ending is one of `FORMATS`.
        names: See `Features`.
        labels: See `Features`.
        dimension: D.
        blocks: The features of all names in order, float32 ``[n, D]`` each.
        origin: See `Features`.

    Raises:
        InputError: If a name cannot be written to the format.
    """
    writer = {".npz": _write_npz, ".csv": _write_csv, ".parquet": _write_parquet}
    with written_atomically(path) as partial:
        writer[pathlib.Path(path).suffix](partial, names, labels, dimension, blocks, origin)


def _write_npz(partial, names, labels, dimension, blocks, origin) -> None:
    arrays: dict[str, Any] = {"names": np.array(names, dtype=str)}
    if labels is not None:
        arrays["labels"] = np.array(labels, dtype=str)
    about = {"images": origin.images, "encoder": origin.encoder, "probe": origin.probe}
    with zipfile.ZipFile(partial, "w", allowZip64=True) as file:
        for name, array in (arrays | about).items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
        with file.open("features.npy", "w", force_zip64=True) as member:
            shape = (len(names), dimension)
            head = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, head)
            for block in blocks:
                member.write(np.ascontiguousarray(block, "<f4").tobytes())


def _write_csv(partial, names, labels, dimension, blocks, origin) -> None:
    del origin  # a CSV file has no place for it
    columns = ["name", *(["label"] if labels is not None else [])]
    with partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = csv.writer(file)
        rows.writerow([*columns, *(f"f{i}" for i in range(dimension))])
        given = zip(*([names] if labels is None else [names, labels]), strict=True)
        for texts, values in zip(given, (row for block in blocks for row in block), strict=True):
            # np.float32's own text is the shortest that reads back as the same number.
            rows.writerow([*map(spreadsheet_text, texts), *map(str, values)])


def _write_parquet(partial, names, labels, dimension, blocks, origin) -> None:
    pa, parquet = _pyarrow(partial)
    columns = {"name": names, **({} if labels is None else {"label": labels})}
    about = {"images": origin.images, "encoder": origin.encoder, "probe": origin.probe.tolist()}
    schema = pa.schema(
        [*((c, pa.string()) for c in columns), ("features", pa.list_(pa.float32(), dimension))],
        metadata={"keras_simsiam": json.dumps(about)},
    )
    done = 0
    with parquet.ParquetWriter(partial, schema) as file:
        for block in blocks:
            some = slice(done, done + len(block))
            done += len(block)
            flat = pa.array(np.ascontiguousarray(block, np.float32).ravel())
            values = pa.FixedSizeListArray.from_arrays(flat, dimension)
            try:
                texts = [pa.array(column[some], pa.string()) for column in columns.values()]
            except UnicodeEncodeError as e:
                raise InputError("names must be valid Unicode for .parquet; write .npz") from e
            file.write_batch(pa.record_batch([*texts, values], schema=schema))


def _pyarrow(path: Any) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as e:
        raise InputError(f"'{path}' needs pyarrow, or use .npz: {first_line(e)}") from e
    return pyarrow, pyarrow.parquet


def _read(path: pathlib.Path) -> Features:
    readers = {".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix not in readers:
        raise InputError(f"features must be in {', '.join(FORMATS)}, as embed writes; got '{path}'")
    try:
        return readers[path.suffix](path)
    except InputError as e:
        raise InputError(f"'{path}': {e}") from e
    except OSError as e:
        raise InputError(f"cannot read '{path}': {e.strerror or first_line(e)}") from e
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile, csv.Error) as e:
        raise InputError(
            f"'{path}' must have features as embed writes them: {first_line(e)}"
        ) from e


def _read_npz(path: pathlib.Path) -> Features:
    with np.load(path, allow_pickle=False) as file:
        labels = file["labels"].tolist() if "labels" in file else None
        origin = Origin(str(file["images"]), str(file["encoder"]), file["probe"])
        return Features(file["names"].tolist(), file["features"], labels, origin)


def _read_csv(path: pathlib.Path) -> Features:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows: Iterator[list[str]] = csv.reader(file)
        head = next(rows, [])
        texts = head[: 2 if head[1:2] == ["label"] else 1]
        if texts[:1] != ["name"]:
            raise InputError("the first columns must be name, label if there is one, and features")
        columns: list[list[str]] = [[] for _ in texts]
        values = []
        for row in rows:
            for column, cell in zip(columns, row, strict=False):
                column.append(spreadsheet_value(cell))
            values.append(np.array(row[len(texts) :], np.float32))
    labels = columns[1] if len(columns) > 1 else None
    return Features(columns[0], np.array(values), labels)


def _read_parquet(path: pathlib.Path) -> Features:
    pa, parquet = _pyarrow(path)
    try:
        table = parquet.read_table(path)
    except pa.ArrowInvalid as e:
        raise InputError(first_line(e)) from e
    about = json.loads((table.schema.metadata or {})[b"keras_simsiam"])
    origin = Origin(about["images"], about["encoder"], np.array(about["probe"], np.float32))
    values = np.stack(table["features"].to_numpy())
    labels = table["label"].to_pylist() if "label" in table.column_names else None
    return Features(table["name"].to_pylist(), values, labels, origin)
