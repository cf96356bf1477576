"""Builds the operations that make views faster: ``python -m keras_simsiam.native``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from keras_simsiam import options
from keras_simsiam.fields import Settings, switch


@dataclass(frozen=True)
class Native(Settings):
    """What to do."""

    remove: bool = switch(False)
    """Remove all that was built, so that TensorFlow makes the views."""


def main(argv: Sequence[str] | None = None) -> int:
    """Builds or removes the operations; returns the exit code."""
    parser = options.Parser("native", "Build operations that make views faster on the CPU.")
    parser.add_arguments(Native, dest="native")
    parsed = parser.parse_args(argv)

    from keras_simsiam.files import cache_folder
    from keras_simsiam.native import build, library

    if parsed.native.remove:
        found = build.libraries()
        for path in found:
            path.unlink()
            build.record(path).unlink(missing_ok=True)
        print(f"removed {len(found)} from {cache_folder()}")
        return 0
    started = time.perf_counter()
    path = build.build()
    library.operations.cache_clear()
    if library.operations() is None:
        return 1  # a warning has said why
    print(
        f"built {path} in {time.perf_counter() - started:.0f} seconds; it now makes views on the "
        f"CPU. {library.VARIABLE}=0 turns it off, --remove removes it"
    )
    return 0


if __name__ == "__main__":
    options.run_command(main)
