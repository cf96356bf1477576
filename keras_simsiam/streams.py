"""Keeps a command running when its standard output or error cannot be written to."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO


@contextlib.contextmanager
def tolerant() -> Iterator[None]:
    """Drops what cannot be written to standard output and error within the block.

    Their reader may have ended (``| head``), their terminal may be closed, or their disk full. A
    training of days must not end because of that. Characters that the encoding lacks are replaced.
    """
    before = sys.stdout, sys.stderr
    sys.stdout = _tolerant(sys.stdout, sys.__stdout__)
    sys.stderr = _tolerant(sys.stderr, sys.__stderr__)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


class _Tolerant(io.FileIO):
    """A file that drops what cannot be written."""

    def write(self, data) -> int:
        """Writes, if it can be written; returns the number of bytes either way."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _tolerant(stream: TextIO | None, original: TextIO | None) -> TextIO:
    if stream is None:  # the process was started with it closed
        return open(os.devnull, "w")
    if stream is not original:  # a test or a notebook has its own
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Tolerant(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors="replace" if stream.errors == "strict" else stream.errors,
        line_buffering=bool(stream.line_buffering),
        write_through=stream.write_through,  # type: ignore[attr-defined]
    )
