"""Tables of results for people."""

from __future__ import annotations


def markdown(lines: list[list[str]]) -> str:
    """A table in Markdown, its first line the heads."""
    rows = [f"| {' | '.join(line)} |".replace("|  ", "| ") for line in lines]
    return "\n".join([rows[0], "|---" * len(lines[0]) + "|", *rows[1:]])
