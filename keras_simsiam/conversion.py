"""Values as the types that are declared for them: numbers, tuples, choices, classes.

Nothing here imports TensorFlow.
"""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import functools
import math
import numbers
import pathlib
import types
import typing
from typing import Annotated, Any, Literal, Self

from keras_simsiam.errors import InputError, check_choice, shown


class _Misfit(InputError):
    """A value is not of the type that is declared."""

    @classmethod
    def of(cls, name: str, kind: Any, value: Any) -> Self:
        """The error that says what the type is."""
        return cls(f"{name} must be {_described(kind)}; got {shown(value)}")


def converted(name: str, value: Any, kind: Any, from_text: bool = False) -> Any:
    """A value as the declared type, such as `float`, `int | None` or ``tuple[float, float]``."""
    convert = functools.partial(converted, name, from_text=from_text)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        value = convert(value, inner[0])
        for bounds in kind.__metadata__:
            bounds.check(name, value)
        return value
    if origin in (types.UnionType, typing.Union):
        return _to_one_of(name, value, kind, from_text)
    if origin is Literal:
        check_choice(name, value, inner)
        return value
    if kind in (int, float):
        return _number(name, value, kind, from_text)
    if origin is tuple:
        row = _python(value)
        of_any_length = inner[1:] == (...,)
        if not isinstance(row, list | tuple) or (len(row) != len(inner) and not of_any_length):
            raise _Misfit.of(name, kind, value)
        kinds = inner[:1] * len(row) if of_any_length else inner
        return tuple(map(convert, row, kinds))
    if origin in (list, collections.abc.Sequence):
        if not isinstance(value, list if origin is list else list | tuple):
            raise _Misfit.of(name, kind, value)
        return type(value)(convert(v, inner[0]) for v in value)
    accepted = origin or kind  # the class, of a generic one, too
    if accepted is bool:
        value = _python(value)
    if not isinstance(accepted, type) or hasattr(accepted, "__array__"):
        return value
    if not isinstance(value, accepted):
        section = from_text and dataclasses.is_dataclass(accepted)
        raise _Misfit.of(name, dict if section else kind, value)
    return value


def _to_one_of(name: str, value: Any, kind: Any, from_text: bool) -> Any:
    """A value as the first member of a union that it fits."""
    members = [k for k in typing.get_args(kind) if k is not types.NoneType]
    if value is None and len(members) < len(typing.get_args(kind)):
        return None
    if len(members) == 1:
        return converted(name, value, members[0], from_text)
    for member in members:
        with contextlib.suppress(_Misfit):
            return converted(name, value, member, from_text)
    raise _Misfit.of(name, kind, value)


def _number(name: str, value: Any, kind: type, from_text: bool) -> Any:
    given = _python(value)
    with contextlib.suppress(ValueError, OverflowError):
        if from_text and isinstance(given, str):
            given = float(given)
        if isinstance(given, numbers.Real) and not isinstance(given, bool):
            number = kind(given)
            if (kind is float or number == given) and abs(number) < math.inf:
                return number
    raise _Misfit.of(name, kind, value)


def _python(value: Any) -> Any:
    """Scalars and rows of NumPy, and of TensorFlow outside of graphs, as Python's numbers."""
    if hasattr(value, "numpy"):
        value = value.numpy()
    return value.tolist() if hasattr(value, "tolist") and value.ndim <= 1 else value


_NAMES = {
    int: "an integer",
    float: "a finite number",
    bool: "true or false",
    str: "text",
    types.NoneType: "None",
    pathlib.Path: "a path",
    list: "a list",
    dict: "a mapping",
    collections.abc.Mapping: "a mapping",
    collections.abc.Callable: "a function",
}


def _described(kind: Any) -> str:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _described(inner[0])
    if origin in (types.UnionType, typing.Union):
        return " or ".join(map(_described, inner))
    if origin is tuple:
        return "numbers" if inner[1:] == (...,) else f"{len(inner)} numbers"
    if origin is collections.abc.Sequence:
        return f"a list, each {_described(inner[0])}"
    kind = origin or kind
    if kind in _NAMES:
        return _NAMES[kind]
    package = kind.__module__.partition(".")[0]
    name = kind.__name__ if package == __name__.partition(".")[0] else f"{package}.{kind.__name__}"
    return f"{'an' if name[0] in 'AEIO' else 'a'} {name}"
