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
    """Shrink larger images to this shorter side in pixels, such as 256 for ImageNet, and store them
    as JPEG; by default, files are stored as they are."""
    channels: int = setting(3, at_least=1, at_most=256)
    """Channels of the images; see train --help."""
    quality: int = setting(95, at_least=1, at_most=100)
    """JPEG quality of shrunk images."""
    shard_size: int = setting(1000, at_least=1)
    """Images per record file."""
    check_files: CheckFiles = "full"
    """How much of each file is checked before packing, which reads all of it; see train --help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and packs; returns the exit code."""
    parser = options.Parser("pack", "Write a folder of images into record files.")
    parser.usage = "python -m keras_simsiam.pack folder:PATH OUTPUT [options]"
    parser.add_argument("dataset", metavar="folder:PATH", help="folder of the images")
    parser.add_argument(
        "output",
        metavar="OUTPUT",
        help="folder for the record files; an interrupted one is continued",
    )
    parser.add_arguments(Pack, dest="how")
    parsed = parser.parse_args(argv)
    _pack(parsed.dataset, parsed.output, parsed.how)
    return 0


def _pack(dataset: str, output: str, p: Pack) -> None:
    from keras_simsiam.data.packing import Packing, pack

    started = time.perf_counter()
    how = Packing(p.image_size, p.quality, p.shard_size)
    counts = pack(dataset, output, how, p.check_files, p.channels)
    listed = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    print(
        f"{listed} images in {output}, {time.perf_counter() - started:.0f} seconds\n"
        f"train from them with: python -m keras_simsiam.train --dataset records:{output}"
    )


if __name__ == "__main__":
    options.run_command(main)
