"""The errors that users see, and the checks that raise them."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable


class InputError(ValueError):
    """An argument, option or file is invalid. The message names it and what would be valid.

    The commands print the message as one line and exit with code 2; nothing has been written.
    """

    # AutoGraph and Keras would wrap the error in pages of their own if it is raised in a graph.
    ag_pass_through = True
    _keras_call_info_injected = True

    def __init__(self, message: object = ""):
        # Names in it may have line breaks.
        super().__init__(printable(str(message)))


class NoSuchSplit(InputError):
    """A dataset has no split of that name. A folder without validation images is one."""


class TrainingDiverged(RuntimeError):
    """The loss, a gradient or a weight is not finite. The message names the step and a remedy."""


class CannotWrite(RuntimeError):
    """A run's files cannot be written. The message says why, and what is safe."""


class CannotRead(RuntimeError):
    """Too many image files that were readable at first are not any more. The message names them."""


class LostWorker(RuntimeError):
    """Another process of the training is gone. The message says how to continue."""


class Terminated(KeyboardInterrupt):
    """A signal ends the process, as Ctrl-C does.

    Attributes:
        number: The signal.
        go_on: How to continue what was under way; empty if nothing was.
        step: The step after which a run ended, with a checkpoint; None if it ended at once.
    """

    def __init__(self, number: int, go_on: str = "", step: int | None = None):
        self.number, self.go_on, self.step = number, go_on, step
        ctrl_c = number == signal.SIGINT
        said = "interrupted" if ctrl_c else "terminated" if step is None else "preempted"
        saved = "" if step is None else f": a checkpoint of step {step:,} is saved"
        super().__init__(said + saved + (f"; {go_on}" if go_on else ""))

    @classmethod
    def of(cls, interrupt: KeyboardInterrupt, go_on: str) -> Terminated:
        """Any interrupt, with how to continue what it ended."""
        number = getattr(interrupt, "number", signal.SIGINT)
        return cls(number, go_on, getattr(interrupt, "step", None))


def first_line(error: BaseException) -> str:
    """What an error says in its first line; of one that says nothing, its type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def check_choice(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raises InputError unless `value` is one of `allowed`."""
    allowed = tuple(allowed)
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}; got {shown(value)}")


def is_address(value: object) -> bool:
    """Whether something is an address HOST:PORT."""
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    return bool(re.fullmatch(r"\S+", host) and re.fullmatch(r"[1-9]\d{0,4}", port, re.ASCII)) and (
        int(port) < 2**16
    )


def shown(value: object, depth: int = 3) -> str:
    """A value in a message, on one line: an array as its dtype and shape, a tuple as its items.

    Args:
        value: What somebody gave.
        depth: To how many levels of lists in lists.
    """
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        if str(value.shape) == "()" and hasattr(value, "item"):
            return shown(value.item())
        return f"{getattr(value.dtype, 'name', value.dtype)} {_sides(value.shape)}"
    if isinstance(value, tuple | list) and depth:
        few = [shown(v, depth - 1) for v in value[:20]]
        text = " ".join([*few, "…"] if len(value) > len(few) else few) or "nothing"
    else:
        text = f"{value:.12g}" if isinstance(value, float) else repr(value)
    if text.startswith("<") or "\n" in text:
        return type(value).__name__
    return text if len(text) <= 100 else f"{text[:70]}…{text[-20:]}"


def _sides(shape: Iterable[int | None]) -> str:
    try:
        return str([*shape])
    except ValueError:  # a tensor of unknown rank
        return "of unknown shape"


def printable(text: str) -> str:
    """Text as one line that can be encoded: what cannot be printed is written as its escape.

    Names of files may have line breaks, and bytes that are no text.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
