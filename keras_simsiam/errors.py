"""The errors that users see, and the checks that raise them."""

from __future__ import annotations

from collections.abc import Iterable


class InputError(ValueError):
    """An argument, option or file is invalid. The message names it and what would be valid.

    The commands print the message as one line and exit with code 2; nothing has been written.
    """


class NoSuchSplit(InputError):
    """A dataset has no split of that name. A folder without validation images is one."""


class TrainingDiverged(RuntimeError):
    """The loss, a gradient or a weight is not finite. The message names the step and a remedy."""


class CannotWrite(RuntimeError):
    """A run's files cannot be written. The message says why, and what is safe."""


class LostWorker(RuntimeError):
    """Another process of the training is gone. The message says how to continue."""


def check_choice(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raises InputError unless `value` is one of `allowed`."""
    allowed = tuple(allowed)
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}; got {shown(value)}")


def shown(value: object) -> str:
    """`repr` of a value that somebody gave, shortened to fit a message."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:70]}…{text[-20:]}"
