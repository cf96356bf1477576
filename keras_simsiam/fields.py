"""Dataclasses that declare what each of their fields accepts, and check it when they are made.

The same declaration gives a command its options, `--help` its text, and YAML files and Python code
their errors. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, Literal, Self

import simple_parsing

from keras_simsiam.errors import InputError, check_choice


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What a number must satisfy, or each number of a tuple or list."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    ascending: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raises InputError if the value is out of bounds, naming it and the bound."""
        numbers = value if isinstance(value, tuple | list) else (value,)
        for words, bound, holds in (
            ("at least", self.at_least, lambda v, b: v >= b),
            ("above", self.above, lambda v, b: v > b),
            ("at most", self.at_most, lambda v, b: v <= b),
            ("below", self.below, lambda v, b: v < b),
        ):
            if bound is not None and not all(holds(v, bound) for v in numbers):
                raise InputError(f"{name} must be {words} {bound:g}; got {_shown(value)}")
        if self.ascending and not (list(numbers) == sorted(numbers) and numbers[-1] > 0):
            raise InputError(
                f"{name} must be two numbers, the smaller first and the larger above 0; "
                f"got {_shown(value)}"
            )


def setting(
    default: Any = dataclasses.MISSING,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    ascending: bool = False,
    **kwargs: Any,
) -> Any:
    """A field of `Settings` with bounds.

    Args:
        default: Its default; none if the option is required. A list is copied for each instance.
        at_least: The smallest value.
        above: What the value must exceed.
        at_most: The largest value.
        below: What the value must stay under.
        ascending: Whether a pair must have the smaller number first.
        **kwargs: See `simple_parsing.field`, such as ``alias`` or ``help``.
    """
    bounds = Bounds(at_least, above, at_most, below, ascending)
    if isinstance(default, list):
        kwargs["default_factory"] = default.copy
        default = dataclasses.MISSING
    return simple_parsing.field(default, metadata={"bounds": bounds}, **kwargs)


def switch(default: bool, **kwargs: Any) -> Any:
    """A field that is an option without a value: ``--name``, or ``--no-name`` to turn it off."""
    return simple_parsing.flag(default, negative_prefix="--no-", **kwargs)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of frozen dataclasses whose fields are checked when an instance is made.

    Numbers are converted to the field's type where nothing is lost (``1`` to ``1.0``, and the
    text ``1e-4``, which YAML 1.1 does not read as a number), lists to tuples.

    Raises:
        InputError: If a value has the wrong type, is not one of a `Literal`'s, or is out of bounds.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = _converted(field.name, getattr(self, field.name), hints[field.name])
            object.__setattr__(self, field.name, value)
            bounds = field.metadata.get("bounds")
            if bounds is not None and value is not None:
                bounds.check(field.name, value)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, and checked.

        Raises:
            InputError: If there is no such field, or a value does not fit.
        """
        known = [f.name for f in dataclasses.fields(self)]
        for name in map(str, changes):
            if name not in known:
                kind = type(self).__name__.lower()
                raise InputError(f"unknown setting '{name}' of {kind}; it has {', '.join(known)}")
        return dataclasses.replace(self, **changes)


def choices(settings: type[Settings], field: str) -> tuple[str, ...]:
    """The names that a `Literal` field accepts."""
    kind = typing.get_type_hints(settings)[field]
    if typing.get_origin(kind) is list:
        (kind,) = typing.get_args(kind)
    return typing.get_args(kind)


def _converted(name: str, value: Any, kind: Any) -> Any:
    """A value as the field's type, such as `float`, `int | None` or ``tuple[float, float]``."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and types.NoneType in inner:
            return None
        (kind,) = (k for k in inner if k is not types.NoneType)
        return _converted(name, value, kind)
    if origin is Literal:
        check_choice(name, value, inner)
        return value
    if origin is list and isinstance(value, list):
        return [_converted(name, v, inner[0]) for v in value]
    if origin is tuple and isinstance(value, list | tuple) and len(value) == len(inner):
        return tuple(_converted(name, v, k) for v, k in zip(value, inner, strict=True))
    if kind in (int, float):
        number = _number(value, kind)
        if number is not None and abs(number) < math.inf and (kind is float or number % 1 == 0):
            return kind(number)
    elif isinstance(kind, type) and isinstance(value, kind):
        return value
    raise InputError(f"{name} must be {_described(kind)}; got {_shown(value)}")


def _number(value: Any, kind: type) -> float | None:
    """The number that a value is, or that a text such as "1e-4" says; None if it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value) if kind is float or isinstance(value, str) else value
    except (ValueError, OverflowError):
        return None


def _described(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"{len(typing.get_args(kind))} numbers"
    if typing.get_origin(kind) is list:
        return "a list"
    if dataclasses.is_dataclass(kind):
        return "a mapping"
    names = {int: "an integer", float: "a finite number", bool: "true or false", str: "text"}
    return names[kind]


def _shown(value: Any) -> str:
    """A value in a message: the numbers of a tuple as on the command line."""
    if isinstance(value, tuple | list):
        return " ".join(map(_shown, value)) or "nothing"
    return f"{value:.12g}" if isinstance(value, float) else repr(value)
