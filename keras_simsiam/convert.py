"""Converts an exported model: ``python -m keras_simsiam.convert --saved-model PATH -o m.onnx``."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from keras_simsiam import datasets, options
from keras_simsiam.collection_options import check_free
from keras_simsiam.errors import InputError, printable
from keras_simsiam.fields import Settings, setting, switch
from keras_simsiam.files import claimed, written_atomically

_COMPARED, _LARGEST = 64, 1e-3


@dataclass(frozen=True)
class Conversion(Settings):
    """What to convert."""

    saved_model: str
    """Folder of a SavedModel: an encoder, or a classifier that fine_tune wrote; required."""
    output: str = setting(alias="-o")
    """File to write, ending in .onnx or .tflite; required."""
    dataset: str = setting(
        "photo_patches",
        help="Images on which both models are compared; they must have the channels of the model: "
        + ", ".join(datasets.DATASETS),
    )
    """See `keras_simsiam.datasets`."""
    data_dir: str | None = None
    """Where the dataset is stored; see train --help."""
    overwrite: bool = switch(False)
    """Replace an existing file."""

    def __post_init__(self) -> None:
        super().__post_init__()
        datasets.find(self.dataset)


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and converts; returns the exit code."""
    parser = options.Parser("convert", "Convert an exported model to ONNX or TensorFlow Lite.")
    parser.add_arguments(Conversion, dest="conversion")
    c: Conversion = parser.parse_args(argv).conversion
    check_free(c.overwrite, c.output)
    with claimed(c.output, beside=True):
        _convert(c)
    return 0


def _convert(c: Conversion) -> None:
    import numpy as np

    from keras_simsiam import exchange
    from keras_simsiam.collection import find_source
    from keras_simsiam.fine_tuning.exported import load_any

    started = time.perf_counter()
    path = pathlib.Path(c.output)
    exchange.check(path)
    model, gives = load_any(c.saved_model)
    source = find_source(c.dataset, "train", c.data_dir)
    try:
        images = source.seen_by(model.preprocessing).images
    except InputError as e:
        raise InputError(f"--dataset {c.dataset}: {e}") from None
    converted = exchange.FORMATS[path.suffix](model, gives)
    rows = np.unique(np.linspace(0, len(source) - 1, _COMPARED).astype(int))
    # In the size at which the network sees images, and in another.
    batches = [
        images.pick(rows, side) for side in (model.image_size, round(1.5 * model.image_size))
    ]
    pairs = [(converted.run(batch), np.asarray(model(batch))) for batch in batches]
    difference = max(float(np.abs(a - b).max()) for a, b in pairs)
    scale = max(float(np.abs(b).max()) for _, b in pairs)
    if not difference <= _LARGEST * scale:
        raise InputError(
            f"the converted model must give the same {gives}; for images of {c.dataset} they "
            f"differ by up to {difference:.2g}, and nothing is written"
        )
    with written_atomically(path) as partial:
        partial.write_bytes(converted.content)
    print(
        f"{printable(c.saved_model)} as {c.output}, {len(converted.content) / 1e6:.1f} MB; "
        f"{time.perf_counter() - started:.0f} seconds\n"
        f"{gives} of {len(rows)} images of {printable(c.dataset)}, in two sizes, differ by at most "
        f"{difference:.1e} and are up to {scale:.2g}"
    )


if __name__ == "__main__":
    options.run_command(main)
