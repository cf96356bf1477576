"""Features of every image: ``python -m keras_simsiam.embed --dataset folder:PATH``."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from keras_simsiam import callable_module, options
from keras_simsiam.collection_options import Collection
from keras_simsiam.errors import InputError, printable, shown
from keras_simsiam.fields import Settings, setting, switch


@dataclass(frozen=True)
class Embedding(Settings):
    """What to embed."""

    saved_model: str
    """The encoder: the folder of a SavedModel or of a run, a .keras file, or keras:NAME for a model
    of keras.applications (keras:NAME:FILE with weights from a file). random and pixels are
    baselines. Required."""
    output: str = setting(alias="-o")
    """File to write, ending in .npz, .csv or, if pyarrow is installed, .parquet; required."""
    image_size: int | None = setting(None, at_least=1)
    """Side of the images in pixels, for networks that take any size."""
    shard: str = "1/1"
    """The share of the images to embed, such as 3/8 for the third of eight, if several machines
    divide the work."""
    overwrite: bool = switch(False)
    """Replace an existing file."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _share(self.shard)

    @property
    def place(self) -> str:
        """The output of this share."""
        number, of = _share(self.shard)
        stem, suffix = os.path.splitext(self.output)
        return self.output if of == 1 else f"{stem}-{number}-of-{of}{suffix}"


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and embeds; returns the exit code."""
    parser = options.Parser("embed", "Compute the features of every image of a collection.")
    parser.add_arguments(Embedding, dest="embedding")
    parser.add_arguments(Collection, dest="collection")
    parsed = parser.parse_args(argv)
    e: Embedding = parsed.embedding
    if os.path.exists(e.place) and not e.overwrite:
        raise InputError(f"'{e.place}' exists; choose another --output, or --overwrite")
    _embed(e, parsed.collection)
    return 0


def _embed(e: Embedding, collection: Collection) -> None:
    from keras_simsiam.collection import embed_to_file, find_source

    started = time.perf_counter()
    source = find_source(collection.images(), collection.split, collection.data_dir)
    print(f"{printable(e.saved_model)} on {len(source):,} images", flush=True)
    found = embed_to_file(e.saved_model, source, e.place, _share(e.shard), e.image_size)
    seconds = time.perf_counter() - started
    print(
        f"{found.images:,} × {found.dimension:,} features in {e.place}, {seconds:.0f} seconds\n"
        f"left out: {found.left_out or 'nothing'}"
    )


def _share(shard: str) -> tuple[int, int]:
    number, _, of = shard.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise InputError(f"shard must be K/N, with K from 1 to N; got {shown(shard)}")
    return int(number), int(of)


callable_module.calls(__name__, "keras_simsiam.collection")

if __name__ == "__main__":
    options.run_command(main)
