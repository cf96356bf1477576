"""What a field of the settings accepts, and what its error says."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import pytest

from keras_simsiam import InputError
from keras_simsiam.fields import Settings, choices, setting, switch


@dataclass(frozen=True)
class Example(Settings):
    count: int = setting(3, at_least=1, at_most=9)
    rate: float = setting(0.5, above=0, below=1)
    side: int | None = setting(None, at_least=8)
    kind: Literal["a", "b"] = "a"
    pair: tuple[float, float] = setting((0.0, 1.0), ascending=True)
    names: list[Literal["x", "y"]] = setting(["x"])
    on: bool = switch(False)


def test_values_take_the_fields_type_where_nothing_is_lost():
    made = Example(count=4.0, rate="1e-1", pair=[0, 2], side=8)
    assert made == Example(4, 0.1, 8, "a", (0.0, 2.0), ["x"], False)
    assert [type(v) for v in (made.count, made.rate, made.pair[1])] == [int, float, float]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"count": 0}, "count must be at least 1; got 0"),
        ({"count": 10}, "count must be at most 9; got 10"),
        ({"count": 2.5}, "count must be an integer; got 2.5"),
        ({"count": True}, "count must be an integer; got True"),
        ({"count": None}, "count must be an integer; got None"),
        ({"count": 10**400}, "count must be at most 9"),
        ({"rate": 10**400}, "rate must be a finite number"),
        ({"rate": 1}, "rate must be below 1; got 1"),
        ({"rate": 0}, "rate must be above 0; got 0"),
        ({"rate": float("nan")}, "rate must be a finite number; got nan"),
        ({"rate": "fast"}, "rate must be a finite number; got 'fast'"),
        ({"side": 4}, "side must be at least 8; got 4"),
        ({"kind": "c"}, "kind must be one of a, b; got 'c'"),
        ({"pair": (1.0,)}, "pair must be 2 numbers; got 1"),
        ({"pair": (2, 1)}, "pair must be two numbers, the smaller first .* got 2 1"),
        ({"names": ["x", "z"]}, "names must be one of x, y; got 'z'"),
        ({"names": "x"}, "names must be a list; got 'x'"),
        ({"on": 1}, "on must be true or false; got 1"),
        ({"cuont": 1}, r"unknown setting 'cuont' of example; did you mean count\?"),
    ],
)
def test_what_does_not_fit_is_named_with_what_would(changes, said):
    with pytest.raises(InputError, match=said) as caught:
        Example().replace(**changes)
    assert "\n" not in str(caught.value)


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example().count = 4


def test_choices_are_those_of_the_literal():
    assert choices(Example, "kind") == ("a", "b")
    assert choices(Example, "names") == ("x", "y")
