"""The space of a sweep: its parameters in order, and the runs that their values stand for.

Nothing here imports TensorFlow.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_simsiam.config import Run
from keras_simsiam.errors import InputError, shown
from keras_simsiam.tuning.parameter import Parameter, Value

if TYPE_CHECKING:
    import keras_tuner as kt

SEED = "training.seed"
"""The parameter over which results are aggregated."""


class Space:
    """The parameters of a sweep, in order.

    Args:
        spec: A mapping from parameters to their descriptions; see
            `keras_simsiam.tuning.parameter`.
        base: The run whose settings it changes. Every choice is checked against it, with the values
            of earlier parameters for which it counts.
        seeds: Seeds to train every combination with, as one more parameter.

    Raises:
        InputError: If a name is unknown or a value does not fit.
    """

    def __init__(self, spec: dict, base: Run, seeds: Sequence[int] = ()):
        if not isinstance(spec, dict) or not spec:
            raise InputError(
                f"a sweep must be a mapping from parameters to their values; got {shown(spec)}"
            )
        if seeds:
            spec = {**spec, SEED: list(seeds)}
        self.spec, self.base = spec, base
        self.parameters = [Parameter.parse(str(name), entry) for name, entry in spec.items()]
        for i, parameter in enumerate(self.parameters):
            earlier = {p.name: p for p in self.parameters[:i]}
            for name, allowed in parameter.when.items():
                if name not in earlier or not isinstance(allowed, list):
                    raise InputError(
                        f"sweep: when of {parameter.name} must give an earlier parameter a list "
                        f"of its values; got {name}: {shown(allowed)}"
                    )
                for value in allowed:
                    choices = earlier[name].choices or ()
                    if value not in choices:
                        raise InputError(
                            f"sweep: when of {parameter.name} must name choices of {name}, which "
                            f"are {', '.join(map(str, choices))}; got {shown(value)}"
                        )
            conditions = [
                [earlier[name].settings(value) for value in allowed]
                for name, allowed in parameter.when.items()
            ]
            for given in itertools.product(*conditions):
                for value in parameter.choices or (parameter.low, parameter.high):
                    settings = [*given, parameter.settings(value)]
                    base.replace(**_nested({k: v for s in settings for k, v in s.items()}))

    def shown(self, values: dict[str, Value]) -> dict[str, Value]:
        """A combination by the headings of its parameters, without the seed, in their order."""
        return {p.heading: values[p.name] for p in self.varied if p.name in values}

    @property
    def headings(self) -> list[str]:
        """What the sweep varies, as tables say it; parameters of the same setting are one."""
        return list(dict.fromkeys(p.heading for p in self.varied))

    @property
    def varied(self) -> list[Parameter]:
        """The parameters but the seed."""
        return [p for p in self.parameters if p.name != SEED]

    def declare(self, hp: kt.HyperParameters) -> dict[str, Value]:
        """Declares all parameters to Keras Tuner, and returns the values of those that count."""
        values: dict[str, Value] = {}
        for parameter in self.parameters:
            with contextlib.ExitStack() as scopes:
                for name, allowed in parameter.when.items():
                    scopes.enter_context(hp.conditional_scope(name, allowed))
                value = parameter.declare(hp)
            if parameter.active(values):
                values[parameter.name] = value
        return values

    def run(self, values: dict[str, Value], epochs: int | None = None) -> Run:
        """The run that values stand for.

        Args:
            values: A value for each parameter; those that do not count are ignored.
            epochs: If given, replaces the run's, as Hyperband does.
        """
        settings = {}
        for parameter in self.parameters:
            if parameter.active(values):
                settings.update(parameter.settings(values[parameter.name]))
        if epochs is not None:
            settings["training.epochs"] = epochs
        return self.base.replace(**_nested(settings))

    def grid(self) -> list[dict[str, Value]] | None:
        """All combinations of values; None if a parameter has a range."""
        return _combinations(self.parameters)

    def size(self, seeds: bool = True) -> float:
        """The number of combinations; if not `seeds`, those that differ in more than the seed."""
        grid = _combinations(self.parameters if seeds else self.varied)
        return math.inf if grid is None else len(grid)

    def label(self, values: dict[str, Value]) -> str:
        """A combination in words: named choices as they are, numbers with their setting."""
        words = []
        for p in self.varied:
            implied = p.when and p.choices and len(p.choices) == 1
            if p.name in values and not implied:
                value = values[p.name]
                plain = p.heading.split(".")[-1].replace("_", " ")
                words.append(value if isinstance(value, str) else f"{plain} {short(value)}")
        return ", ".join(words)

    def paper(self, values: dict[str, Value]) -> str:
        """The paper's figure for a combination; empty if it has none."""
        figures = [
            p.paper[values[p.name]] for p in self.parameters if values.get(p.name) in p.paper
        ]
        return str(figures[0]) if figures else ""


def short(value: Value) -> str:
    """A value with three digits at most behind the point."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _combinations(parameters: list[Parameter]) -> list[dict[str, Value]] | None:
    combinations: list[dict[str, Value]] = [{}]
    for parameter in parameters:
        if parameter.choices is None:
            return None
        combinations = [
            {**values, **chosen}
            for values in combinations
            for chosen in (
                [{parameter.name: v} for v in parameter.choices]
                if parameter.active(values)
                else [{}]
            )
        ]
    return combinations


def _nested(settings: dict) -> dict:
    """Settings by section, for `Run.replace`."""
    sections: dict = {}
    for name, value in settings.items():
        section, _, rest = str(name).partition(".")
        if not rest:
            raise InputError(
                "sweep: settings must have their section before them, such as "
                f"training.batch_size; got {shown(name)}"
            )
        sections.setdefault(section, {})[rest] = value
    return sections
