"""How far a command is: a line that is replaced on a terminal, otherwise a line now and then."""

from __future__ import annotations

import sys
import time

_LINES = 10
"""Lines printed where standard output is not a terminal."""


class Progress:
    """Prints how many images are done; call it with their number and that of all.

    Args:
        what: What is done to them, such as "features".
    """

    def __init__(self, what: str):
        self._what, self._started, self._first, self._shown = what, 0.0, 0, -1.0

    def __call__(self, done: int, total: int) -> None:
        """Prints a line if it is time for one."""
        terminal, now = sys.stdout.isatty(), time.perf_counter()
        if self._shown < 0:
            self._started, self._first = now, done
            self._shown = now if terminal else done / total
            return
        due = now - self._shown >= 0.2 if terminal else done / total - self._shown >= 1 / _LINES
        if not (due or done == total):
            return
        self._shown = now if terminal else done / total
        seconds = max(now - self._started, 1e-9)
        rate = max(done - self._first, 1) / seconds
        text = f"{self._what}: {done:,} of {total:,} images, {rate:,.0f} a second"
        if done < total:
            left = (total - done) / rate
            text += (
                f", {left:.0f} seconds left" if left < 100 else f", {left / 60:.0f} minutes left"
            )
        ending = ("\n" if done == total else "") if terminal else "\n"
        print(f"\r\033[K{text}" if terminal else text, end=ending, flush=True)
