"""Dataclasses that declare what each of their fields accepts, and check it when they are made.

The same declaration gives a command its options, `--help` its text, and YAML files and Python code
their errors. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import math
import operator
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Self

import simple_parsing

from keras_simsiam.errors import InputError, check_choice, shown

_BOUNDS = {
    "at_least": operator.ge,
    "above": operator.gt,
    "at_most": operator.le,
    "below": operator.lt,
}


def setting(default: Any = dataclasses.MISSING, *, ascending: bool = False, **kwargs: Any) -> Any:
    """A field of `Settings` with bounds.

    Args:
        default: Its default; none if the option is required. A list is copied for each instance.
        ascending: Whether a pair must have the smaller number first, and the larger above 0.
        **kwargs: Bounds that a number must satisfy, or each number of a tuple or list: ``at_least``
            and ``at_most``, ``above`` and ``below``. For others, such as ``alias`` or ``help``, see
            `simple_parsing.field`.
    """
    bounds = {name: kwargs.pop(name) for name in _BOUNDS if name in kwargs}
    if isinstance(default, list):
        kwargs["default_factory"] = default.copy
        default = dataclasses.MISSING
    metadata = {"bounds": bounds, "ascending": ascending}
    return simple_parsing.field(default, metadata=metadata, **kwargs)


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
            if value is not None:
                _check(field.name, value, field.metadata)

    def replace(self, /, **changes: Any) -> Self:
        """A copy with some fields changed, and checked.

        Raises:
            InputError: If there is no such field, or a value does not fit.
        """
        known = [f.name for f in dataclasses.fields(self)]
        for name in map(str, changes):
            if name not in known:
                kind = type(self).__name__.lower()
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise InputError(
                    f"unknown setting {shown(name)} of {kind}; it has {', '.join(known)}{hint}"
                )
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
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            given = float(value) if isinstance(value, str) else value
            number = kind(given)
            exact = kind is float or number == given
            if exact and abs(number) < math.inf and not isinstance(given, bool):
                return number
    elif isinstance(kind, type) and isinstance(value, kind):
        return value
    raise InputError(f"{name} must be {_described(kind)}; got {_shown(value)}")


def _check(name: str, value: Any, declared: Mapping[str, Any]) -> None:
    """Raises InputError if the value is out of the bounds declared by `setting`, naming both."""
    numbers = value if isinstance(value, tuple | list) else (value,)
    for rule, bound in declared.get("bounds", {}).items():
        if not all(_BOUNDS[rule](v, bound) for v in numbers):
            words = rule.replace("_", " ")
            raise InputError(f"{name} must be {words} {bound:g}; got {_shown(value)}")
    if declared.get("ascending") and not (list(numbers) == sorted(numbers) and numbers[-1] > 0):
        raise InputError(
            f"{name} must be two numbers, the smaller first and the larger above 0; "
            f"got {_shown(value)}"
        )


def _described(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"{len(typing.get_args(kind))} numbers"
    names = {int: "an integer", float: "a finite number", bool: "true or false", str: "text"}
    return names.get(kind, "a list" if typing.get_origin(kind) is list else "a mapping")


def _shown(value: Any) -> str:
    """A value in a message: the numbers of a tuple as on the command line."""
    if isinstance(value, tuple | list):
        few = " ".join(map(_shown, value[:20])) or "nothing"
        return few if len(value) <= 20 else f"{few} …"
    return f"{value:.12g}" if isinstance(value, float) else shown(value)
