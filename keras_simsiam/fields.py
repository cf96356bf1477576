"""What values are accepted, declared where they are: in dataclasses, and in functions' type hints.

The declaration of a dataclass gives a command its options, `--help` its text, and YAML files and
Python code their errors. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Self, TypeVar

import simple_parsing

from keras_simsiam.conversion import converted
from keras_simsiam.errors import InputError, shown

_RULES = {
    "at_least": operator.ge,
    "above": operator.gt,
    "at_most": operator.le,
    "below": operator.lt,
}


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Bounds of a number, or of each number of a tuple or list.

    Attributes:
        at_least: The smallest value allowed.
        above: The value must be greater than this.
        at_most: The largest value allowed.
        below: The value must be less than this.
        ascending: Whether a pair must have the smaller number first, and the larger above 0.
    """

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    ascending: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raises InputError if the value is out of bounds, naming both."""
        if isinstance(value, str):  # a choice that takes the place of numbers
            return
        numbers = value if isinstance(value, tuple | list) else (value,)
        for rule, holds in _RULES.items():
            bound = getattr(self, rule)
            if bound is not None and not all(holds(v, bound) for v in numbers):
                words = rule.replace("_", " ")
                raise InputError(f"{name} must be {words} {bound:.12g}; got {shown(value)}")
        if self.ascending and not (list(numbers) == sorted(numbers) and numbers[-1] > 0):
            raise InputError(
                f"{name} must be two numbers, the smaller first and the larger above 0; "
                f"got {shown(value)}"
            )


Count = Annotated[int, Bounds(at_least=1)]
Index = Annotated[int, Bounds(at_least=0)]
Seed = Annotated[int, Bounds(at_least=0, below=2**31)]
Positive = Annotated[float, Bounds(above=0)]
NonNegative = Annotated[float, Bounds(at_least=0)]
Momentum = Annotated[float, Bounds(at_least=0, below=1)]
Share = Annotated[float, Bounds(at_least=0, at_most=1)]


def setting(default: Any = dataclasses.MISSING, *, ascending: bool = False, **kwargs: Any) -> Any:
    """A field of `Settings` with bounds.

    Args:
        default: The default; the field is required without one. A list is copied for each
            instance.
        ascending: See `Bounds`.
        **kwargs: The other `Bounds`, and arguments of `simple_parsing.field`, such as ``alias``
            or ``help``.
    """
    bounds = Bounds(ascending=ascending, **{k: kwargs.pop(k) for k in _RULES if k in kwargs})
    if isinstance(default, list):
        kwargs["default_factory"] = default.copy
        default = dataclasses.MISSING
    return simple_parsing.field(default, metadata={"bounds": bounds}, **kwargs)


def switch(default: bool, **kwargs: Any) -> Any:
    """A field that is an option without a value: ``--name``, or ``--no-name`` to turn it off."""
    return simple_parsing.flag(default, negative_prefix="--no-", **kwargs)


def by_method(**kwargs: Any) -> Any:
    """A field whose default depends on the method; None if the method does not have it.

    Args:
        **kwargs: See `setting`; ``switch=True`` makes it an option without a value.
    """
    make = functools.partial(switch, False) if kwargs.pop("switch", False) else setting
    field = make(required=False, **kwargs)
    field.default = None
    field.metadata = types.MappingProxyType({**field.metadata, "by_method": True})
    return field


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of frozen dataclasses whose fields are checked when an instance is made.

    Numbers are converted to the field's type where nothing is lost: ``1`` to ``1.0``, and the text
    ``"1e-4"`` to a float. Lists become tuples.

    Raises:
        InputError: If a value has the wrong type, is not one of a `Literal`'s, or is out of bounds.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            given = getattr(self, field.name)
            if given is None and field.metadata.get("by_method"):
                continue
            value = converted(field.name, given, hints[field.name], from_text=True)
            object.__setattr__(self, field.name, value)
            if value is not None:
                field.metadata.get("bounds", Bounds()).check(field.name, value)

    def replace(self, /, **changes: Any) -> Self:
        """A checked copy with some fields changed.

        Raises:
            InputError: If there is no such field, or a value does not fit.
        """
        known = [f.name for f in dataclasses.fields(self)]
        for name in map(str, changes):
            if name not in known:
                kind = type(self).__name__.lower()
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
                raise InputError(f"unknown setting {shown(name)} of {kind}; {hint}")
        return dataclasses.replace(self, **changes)


def choices(settings: type[Settings], field: str) -> tuple[str, ...]:
    """The names that a `Literal` field accepts."""
    kind = typing.get_type_hints(settings)[field]
    if typing.get_origin(kind) is list:
        (kind,) = typing.get_args(kind)
    return typing.get_args(kind)


_Function = TypeVar("_Function", bound=Callable)


def checks_arguments(function: _Function) -> _Function:
    """Decorates a function to check its arguments against its type hints and their `Bounds`::

        @checks_arguments
        def knn_predict(bank: np.ndarray, k: Annotated[int, Bounds(at_least=1)] = 200): ...

    Numbers are converted as in `Settings`, but not from text. Scalars of NumPy and TensorFlow count
    as numbers; True and False do not. Arrays are left for the function to check.

    The decorated function raises InputError if an argument has the wrong type or is out of bounds.
    """
    signature = inspect.signature(function)
    named = {
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }

    @functools.cache
    def hints() -> dict[str, Any]:
        # Resolved at the first call, because hints may name the class that is being defined.
        found = typing.get_type_hints(function, include_extras=True)
        return {name: hint for name, hint in found.items() if name in named}

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if name in hints():
                bound.arguments[name] = converted(name, value, hints()[name])
        return function(*bound.args, **bound.kwargs)

    return typing.cast(_Function, wrapper)
