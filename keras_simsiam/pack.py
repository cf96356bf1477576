"""Writes a folder of images into record files: ``python -m keras_simsiam.pack folder:PATH OUT``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from keras_simsiam import options
from keras_simsiam.config import CheckFiles
from keras_simsiam.fields import Settings, setting


@dataclass(frozen=True)
class Pack(Settings):
    """How to write them."""

    image_size: int | None = setting(None, at_least=8)
    """Shorter side in pixels to which larger images are shrunk, such as 256, as is usual for
    ImageNet; by default, files are kept byte for byte."""
    quality: int = setting(95, at_least=1, at_most=100)
    """JPEG quality of images that are shrunk."""
    shard_size: int = setting(1000, at_least=1)
    """Images in a file."""
    check_files: CheckFiles = "full"
    """What is read of each file first; see train --help. Packing reads all of it in any case."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and packs; returns the exit code."""
    parser = options.Parser("pack", "Write a folder of images into record files.")
    parser.usage = "python -m keras_simsiam.pack folder:PATH OUTPUT [options]"
    parser.add_argument("dataset", metavar="folder:PATH", help="the images, see train --dataset")
    parser.add_argument("output", metavar="OUTPUT", help="folder to write, or to go on writing")
    parser.add_arguments(Pack, dest="how")
    parsed = parser.parse_args(argv)
    _pack(parsed.dataset, parsed.output, parsed.how)
    return 0


def _pack(dataset: str, output: str, p: Pack) -> None:
    from keras_simsiam.data.packing import Packing, pack

    started = time.perf_counter()
    how = Packing(p.image_size, p.quality, p.shard_size)
    counts = pack(dataset, output, how, p.check_files)
    listed = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    print(
        f"{listed} images in {output}, {time.perf_counter() - started:.0f} seconds\n"
        f"train from them with: python -m keras_simsiam.train --dataset records:{output}"
    )


if __name__ == "__main__":
    options.run_command(main)
