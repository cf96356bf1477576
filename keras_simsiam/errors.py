"""The errors that are meant for the person at the keyboard."""

from __future__ import annotations

from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave cannot work: the message names the value and what would be right.

    The commands print it as one line and exit with code 2, having written nothing.
    """


class NoSuchSplit(InputError):
    """A dataset has no split of that name: for one's own images that may be in order."""


class TrainingDiverged(RuntimeError):
    """The loss is no longer finite: the message says at which step and what to try."""


class CannotWrite(RuntimeError):
    """A run's files cannot be written: the message says what, why and what is safe."""


class LostWorker(RuntimeError):
    """Another process of the training is gone: the message says what to do."""


def check_choice(name: str, value: str, allowed: Iterable[str]) -> None:
    """Raises InputError where a value is none of those allowed, naming it and them."""
    if value not in allowed:
        raise InputError(f"unknown {name} '{value}'; it can be {', '.join(allowed)}")
