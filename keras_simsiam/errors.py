"""The errors that users see, the checks that raise them, and values in their messages."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable


class InputError(ValueError):
    """An argument, option or file is invalid. The message names it and what would be valid.

    The commands print the message as one line and exit with code 2; nothing has been written.
    """

    # Without these, AutoGraph and Keras add pages of their own to an error raised in a graph.
    ag_pass_through = True
    _keras_call_info_injected = True

    def __init__(self, message: object = ""):
        # Names of files, for example, may have line breaks.
        super().__init__(printable(str(message)))


class NoSuchSplit(InputError):
    """A dataset has no split of that name, such as a folder without validation images."""


class TrainingDiverged(RuntimeError):
    """The loss, a gradient or a weight is not finite. The message names the step and a remedy."""


class CannotWrite(RuntimeError):
    """A run's files cannot be written. The message says why, and what is intact."""


class CannotRead(RuntimeError):
    """Too many image files have become unreadable during a run. The message names them."""


class CallbackFailed(RuntimeError):
    """A callback of the user raised an error. The message names both."""


class LostWorker(RuntimeError):
    """Another process of the training has been lost. The message says how to continue."""


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


def check_choice(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raises InputError unless `value` is one of `allowed`."""
    allowed = tuple(allowed)
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}; got {shown(value)}")


_STORE = re.compile(
    r"(?:\w+:)*?(?:gs|s3[an]?|hdfs|webhdfs|viewfs|abfss?|wasbs?|adl|az|oss):/.*", re.DOTALL
)
"""A path in an object store, also after "folder:"; `pathlib` makes one slash of two."""


def check_local(name: str, value: object) -> None:
    """Raises InputError if a value is a path in an object store, which would become a folder."""
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    found = _STORE.fullmatch(path) if isinstance(path, str) else None
    if found is not None:
        raise InputError(
            f"{name} must be on a local or mounted disk; got '{path}'. Mount the store, such as "
            "with gcsfuse, mount-s3 or rclone mount, or copy what is in it"
        )


def is_address(value: object) -> bool:
    """Whether a value is text HOST:PORT, with a port from 1 to 65535."""
    found = re.fullmatch(r"\S+:([1-9][0-9]{0,4})", value) if isinstance(value, str) else None
    return found is not None and int(found[1]) < 2**16


def shown(value: object, depth: int = 3) -> str:
    """A value as one line of a message: an array as its dtype and shape, a list as its items.

    Args:
        value: Any value.
        depth: How many levels of nested lists are written as their items.
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


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if it has no message.

    The names of nodes in a graph, which TensorFlow adds to its messages, are left out.
    """
    text = re.sub(r"\{\{.*?\}\}", "", str(error)).strip()
    return (text or type(error).__name__).splitlines()[0]


def _sides(shape: Iterable[int | None]) -> str:
    try:
        return str([*shape])
    except ValueError:  # a tensor of unknown rank
        return "of unknown shape"


def printable(text: str) -> str:
    """Text as one line that can be encoded: characters that cannot be printed become escapes.

    Names of files may have line breaks, and bytes that are not valid text.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
