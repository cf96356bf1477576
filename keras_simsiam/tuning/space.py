"""What a sweep varies: parameters and their values, as a YAML file may list them.

A parameter is a setting of the run, with its section, and lists its values or gives their range::

    training.batch_size: [32, 64, 128]
    training.learning_rate: {min: 0.05, max: 1.0, log: true}

or it has a name of its own, and each choice is a combination of settings::

    predictor:
      choices:
        rate not decayed: {}
        rate decayed: {training.predictor_decay: true}
        none: {model.predictor: none}
      paper: {none: "0.1"}

``when: {predictor: [rate decayed]}`` restricts a parameter to those values of an earlier one.
``paper`` gives the paper's figures for choices, which tables show. Trials that differ only in
``training.seed`` are one line of a table.

Nothing here imports TensorFlow.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keras_simsiam.config import Run
from keras_simsiam.errors import InputError, shown

if TYPE_CHECKING:
    import keras_tuner as kt

Value = str | int | float | bool

SEED = "training.seed"
"""The parameter over which results are aggregated."""


@dataclass(frozen=True)
class Parameter:
    """One thing that a sweep varies.

    Attributes:
        name: A setting, such as "training.batch_size", or a name of its own.
        choices: The settings that each value stands for; None for a range.
        low: Smallest value of a range.
        high: Largest value.
        log: Whether a range is sampled on a logarithmic scale.
        when: Values of earlier parameters for which this one counts.
        paper: The paper's figures for choices, as text.
    """

    name: str
    choices: dict[Value, dict] | None = None
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    when: dict[str, list[Value]] = field(default_factory=dict)
    paper: dict[Value, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, name: str, spec: dict | list) -> Parameter:
        """A parameter from its description.

        Raises:
            InputError: If the description is invalid.
        """
        spec = {"choices": spec} if isinstance(spec, list) else spec
        if not isinstance(spec, dict):
            raise InputError(
                f"sweep: {name} must be a list of values or a mapping; got {shown(spec)}"
            )
        known = ("choices", "min", "max", "log", "when", "paper")
        unknown = [key for key in spec if key not in known]
        if unknown:
            raise InputError(
                f"sweep: keys of {name} must be among {', '.join(known)}; got {shown(unknown[0])}"
            )
        for key, kind in (("when", dict), ("paper", dict), ("log", bool)):
            if not isinstance(spec.get(key, kind()), kind):
                wanted = "a mapping" if kind is dict else "true or false"
                raise InputError(f"sweep: {key} of {name} must be {wanted}; got {shown(spec[key])}")
        shared = {"name": name, "when": spec.get("when", {}), "paper": spec.get("paper", {})}
        choices = spec.get("choices")
        if choices:
            return cls(choices=_labeled(name, choices), **shared)
        low, high, log = spec.get("min"), spec.get("max"), spec.get("log", False)
        number = int | float
        if not (isinstance(low, number) and isinstance(high, number) and low < high):
            raise InputError(
                f"sweep: {name} must have choices, or a min and a larger max; got {shown(spec)}"
            )
        if log and low <= 0:
            raise InputError(f"sweep: min of {name} must be above 0, with log: true; got {low}")
        return cls(low=low, high=high, log=log, **shared)

    @property
    def heading(self) -> str:
        """The setting whose values it lists; its name, if its choices stand for more than that."""
        choices = self.choices or {}
        for setting in next(iter(choices.values()), {}):
            if all(given == {setting: value} for value, given in choices.items()):
                return setting
        return self.name

    def settings(self, value: Value) -> dict:
        """The settings that a value stands for, with their sections."""
        return {self.name: value} if self.choices is None else self.choices[value]

    def declare(self, hp: kt.HyperParameters) -> Value:
        """Declares it to Keras Tuner, and returns its value there."""
        if self.choices is not None:
            return hp.Choice(self.name, list(self.choices), ordered=False)
        draw = hp.Int if isinstance(self.low, int) and isinstance(self.high, int) else hp.Float
        return draw(self.name, self.low, self.high, sampling="log" if self.log else "linear")

    def active(self, values: dict[str, Value]) -> bool:
        """Whether it counts for these values of the earlier parameters."""
        return all(values.get(name) in allowed for name, allowed in self.when.items())


class Space:
    """The parameters of a sweep, in order.

    Args:
        spec: A mapping from parameters to their descriptions; see this module.
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


def _labeled(name: str, choices: dict | list) -> dict[Value, dict]:
    """Choices with the settings that they stand for."""
    if isinstance(choices, list) and not any(isinstance(value, dict) for value in choices):
        choices = {_label(value): {name: value} for value in choices}
    elif not isinstance(choices, dict) or not all(isinstance(v, dict) for v in choices.values()):
        raise InputError(
            f"sweep: choices of {name} must be a list of values, or each choice must be a mapping "
            f"of settings; got {shown(choices)}"
        )
    kinds = {type(label) for label in choices}
    # Keras Tuner takes values of one type only.
    if kinds == {int, float}:
        return {float(label): settings for label, settings in choices.items()}
    if len(kinds) > 1 or not kinds <= {str, int, float, bool}:
        return {str(label): settings for label, settings in choices.items()}
    return choices


def _label(value) -> Value:
    """A value in tables and for Keras Tuner."""
    if value is None:
        return "default"
    return " to ".join(map(str, value)) if isinstance(value, list) else value


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
