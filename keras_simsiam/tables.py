"""Tables of text."""

from __future__ import annotations

from collections.abc import Sequence


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first row is the heading."""
    head, *lines = (f"| {' | '.join(row)} |".replace("|  ", "| ") for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *lines])
