"""Says how far a work of minutes on many images is."""

from __future__ import annotations

import sys
import time

_FIRST, _EVERY = 5, 10  # seconds until progress is said, and from then on


class Progress:
    """Says on standard error from time to time how many images are done::

        say = Progress("checked", total=len(files))
        say(256)  # after 5 seconds: "checked 256 of 10,000 images, 3.2 minutes left"

    Args:
        done: What is done to an image.
        total: How many there are.
        before: How many were done earlier, by a command that goes on.
    """

    def __init__(self, done: str, total: int, before: int = 0):
        self._word, self._total, self._before = done, total, before
        self._started = time.monotonic()
        self._due = self._started + _FIRST

    def __call__(self, done: int) -> None:
        """Says it if it is time for that.

        Args:
            done: How many images are done, with those from before.
        """
        now = time.monotonic()
        if now >= self._due and self._before < done < self._total:
            self._due = now + _EVERY
            left = (now - self._started) * (self._total - done) / (done - self._before)
            print(
                f"{self._word} {done:,} of {self._total:,} images, {left / 60:.1f} minutes left",
                file=sys.stderr,
                flush=True,
            )
