"""Tables as text."""

from __future__ import annotations

from collections.abc import Sequence


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first row is the heading."""
    # Empty cells take one space instead of two.
    head, *lines = (f"| {' | '.join(row)} |".replace("|  ", "| ") for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *lines])
