"""Converts values to the types that hints declare, and says what a type is if one does not fit."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import functools
import math
import numbers
import os
import pathlib
import types
import typing
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from keras_simsiam.errors import InputError, check_choice, check_local, shown


def converted(name: str, value: Any, kind: Any, from_text: bool = False) -> Any:
    """The value as the type of a hint, such as `float`, `int | None` or ``tuple[float, float]``.

    Args:
        name: The name of the value in messages.
        value: The value.
        kind: The hint. What follows the type in an `Annotated` must have ``check(name, value)``.
        from_text: Whether text such as "1e-4" counts as a number.

    Raises:
        InputError: If the value is of another type, or a check fails.
    """
    convert = functools.partial(converted, name, from_text=from_text)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        value = convert(value, inner[0])
        for bounds in kind.__metadata__:
            bounds.check(name, value)
        return value
    if origin in (types.UnionType, typing.Union):
        return _member(name, value, kind, from_text)
    if origin is Literal:
        check_choice(name, value, inner)
        return value
    if kind in (int, float):
        return _number(name, value, kind, from_text)
    if origin is tuple:
        return tuple(map(convert, *_items(name, value, kind)))
    if origin in (list, collections.abc.Sequence):
        if not isinstance(value, list if origin is list else list | tuple):
            raise _misfit(name, kind, value)
        return type(value)(convert(item, inner[0]) for item in value)
    return _instance(name, value, kind, from_text)


class _MisfitError(InputError):
    """A value is not of the type that a hint declares."""


def _misfit(name: str, kind: Any, value: Any) -> _MisfitError:
    return _MisfitError(f"{name} must be {_described(kind)}; got {shown(value)}")


def _member(name: str, value: Any, union: Any, from_text: bool) -> Any:
    """The value as the first type of a union that it fits."""
    members = [k for k in typing.get_args(union) if k is not types.NoneType]
    if value is None and len(members) < len(typing.get_args(union)):
        return None
    if len(members) == 1:  # its own error says more than that of the union
        return converted(name, value, members[0], from_text)
    for member in members:
        if typing.get_origin(member) is Literal:
            if isinstance(value, str) and value in typing.get_args(member):
                return value
            continue
        with contextlib.suppress(_MisfitError):
            return converted(name, value, member, from_text)
    raise _misfit(name, union, value)


def _number(name: str, value: Any, kind: type, from_text: bool) -> Any:
    """The value as an int or float, if nothing is lost by that."""
    given = _python(value)
    with contextlib.suppress(ValueError, OverflowError):
        if from_text and isinstance(given, str):
            given = float(given)
        if isinstance(given, numbers.Real) and not isinstance(given, bool):
            number = kind(given)
            if (kind is float or number == given) and abs(number) < math.inf:
                return number
    raise _misfit(name, kind, value)


def _items(name: str, value: Any, kind: Any) -> tuple[Sequence, Sequence]:
    """The items of a row such as a tuple, a list or an array, and the type of each."""
    row, kinds = _python(value), typing.get_args(kind)
    of_any_length = kinds[1:] == (...,)
    if not isinstance(row, list | tuple) or (len(row) != len(kinds) and not of_any_length):
        raise _misfit(name, kind, value)
    return row, kinds[:1] * len(row) if of_any_length else kinds


def _instance(name: str, value: Any, kind: Any, from_text: bool) -> Any:
    """The value, if it is an instance of a class; arrays are not checked."""
    accepted = typing.get_origin(kind) or kind
    if accepted is bool:
        value = _python(value)
    if not isinstance(accepted, type) or hasattr(accepted, "__array__"):
        return value
    if not isinstance(value, accepted):
        is_section = from_text and dataclasses.is_dataclass(accepted)
        raise _misfit(name, dict if is_section else kind, value)
    check_local(name, value)
    return value


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
    os.PathLike: "a path",
    list: "a list",
    dict: "a mapping",
    collections.abc.Mapping: "a mapping",
    collections.abc.Callable: "a function",
}


def _described(kind: Any) -> str:
    """A type in words, such as "an integer or None"."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _described(inner[0])
    if origin in (types.UnionType, typing.Union):
        return " or ".join(map(_described, inner))
    if origin is Literal:
        return " or ".join(inner)
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
