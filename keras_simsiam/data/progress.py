"""Says how far a work of minutes on the files of a folder is."""

from __future__ import annotations

import sys
import time

_FIRST, _EVERY = 5, 10  # seconds until progress is said, and from then on


class Progress:
    """Says on standard error from time to time how many files are done::

        say = Progress("checked", total=len(files))
        say(256)  # after 5 seconds: "checked 256 of 10,000 images, 3.2 minutes left"

    Args:
        done: What is done to a file.
        total: How many there are.
    """

    def __init__(self, done: str, total: int):
        self._word, self._total = done, total
        self._started = time.monotonic()
        self._due = self._started + _FIRST

    def __call__(self, done: int) -> None:
        """Says it if it is time for that.

        Args:
            done: How many files are done.
        """
        now = time.monotonic()
        if now >= self._due and done < self._total:
            self._due = now + _EVERY
            left = (now - self._started) * (self._total - done) / done
            print(
                f"{self._word} {done:,} of {self._total:,} images, {left / 60:.1f} minutes left",
                file=sys.stderr,
                flush=True,
            )
