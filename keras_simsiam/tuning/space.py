"""What a sweep searches: parameters and their values, from a mapping such as a YAML file holds.

A parameter is named after a setting of the run, section first, and says which values it takes::

    training.batch_size: [32, 64, 128]
    training.learning_rate: {min: 0.05, max: 1.0, log: true}

or it has a name of its own, and each choice sets what it stands for::

    predictor:
      choices:
        rate not decayed: {}
        rate decayed: {training.predictor_decay: true}
        none: {model.predictor: none}
      paper: {none: "0.1"}

``when: {predictor: [rate decayed]}`` makes a parameter count only beside those values of an earlier
one; ``paper`` gives the paper's figure for a choice, to stand in the table.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field

import keras_tuner as kt

from keras_simsiam.config import Run
from keras_simsiam.errors import InputError

Value = str | int | float | bool


@dataclass(frozen=True)
class Parameter:
    """One thing that a sweep varies.

    Attributes:
        name: A setting's, such as "training.batch_size", or one of its own.
        choices: The settings that each value stands for; None for a range.
        low: The least value of a range.
        high: The largest.
        log: Whether a range is even in the logarithm.
        when: Values of earlier parameters beside which it counts.
        paper: The paper's figures for its choices, as text.
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
            InputError: If it is none.
        """
        spec = {"choices": spec} if isinstance(spec, list) else spec
        if not isinstance(spec, dict):
            raise InputError(f"sweep: {name} must be a list of values or a mapping, not {spec!r}")
        known = ("choices", "min", "max", "log", "when", "paper")
        unknown = [key for key in spec if key not in known]
        if unknown:
            raise InputError(
                f"sweep: {name} has an unknown entry '{unknown[0]}'; it can have {', '.join(known)}"
            )
        shared = {"name": name, "when": spec.get("when", {}), "paper": spec.get("paper", {})}
        choices = spec.get("choices")
        if choices:
            return cls(choices=_labelled(name, choices), **shared)
        low, high, log = spec.get("min"), spec.get("max"), spec.get("log", False)
        if not all(isinstance(v, int | float) for v in (low, high)) or not low < high:
            raise InputError(f"sweep: {name} needs choices, or a min and a larger max")
        if log and low <= 0:
            raise InputError(f"sweep: {name} has log: true, so its min must be above 0, not {low}")
        return cls(low=low, high=high, log=log, **shared)

    def settings(self, value: Value) -> dict:
        """What a value sets, by dotted name."""
        return {self.name: value} if self.choices is None else self.choices[value]

    def declare(self, hp: kt.HyperParameters) -> Value:
        """Tells Keras Tuner of it, and gives its value there."""
        if self.choices is not None:
            return hp.Choice(self.name, list(self.choices), ordered=False)
        draw = hp.Int if isinstance(self.low, int) and isinstance(self.high, int) else hp.Float
        return draw(self.name, self.low, self.high, sampling="log" if self.log else "linear")

    def active(self, values: dict[str, Value]) -> bool:
        """Whether it counts beside the values of the earlier ones."""
        return all(values.get(name) in allowed for name, allowed in self.when.items())


class Space:
    """All that a sweep varies, in order.

    Args:
        spec: A mapping from parameters to their descriptions, as in this module's introduction.
        base: The run whose settings it changes; every choice is checked against it.

    Raises:
        InputError: If a name is unknown or a value does not fit.
    """

    def __init__(self, spec: dict, base: Run):
        if not isinstance(spec, dict) or not spec:
            raise InputError("a sweep must be a mapping from parameters to their values")
        self.spec, self.base = spec, base
        self.parameters = [Parameter.parse(str(name), entry) for name, entry in spec.items()]
        for i, parameter in enumerate(self.parameters):
            earlier = {p.name: p for p in self.parameters[:i]}
            for name, allowed in parameter.when.items():
                if name not in earlier or not isinstance(allowed, list):
                    raise InputError(
                        f"sweep: {parameter.name} depends on '{name}', which must be an earlier "
                        "parameter with a list of its values"
                    )
                for value in allowed:
                    if value not in (earlier[name].choices or ()):
                        raise InputError(
                            f"sweep: {parameter.name} depends on {name} {value!r}, which is no "
                            "choice of it"
                        )
            for value in parameter.choices or (parameter.low, parameter.high):
                base.replace(**_nested(parameter.settings(value)))

    def declare(self, hp: kt.HyperParameters) -> dict[str, Value]:
        """Tells Keras Tuner of all parameters, and gives the values of those that count."""
        values = {}
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
            values: By the parameters' names; others than those that count are left out.
            epochs: In place of the run's, as Hyperband shares them out.
        """
        settings = {}
        for parameter in self.parameters:
            if parameter.active(values):
                settings.update(parameter.settings(values[parameter.name]))
        if epochs is not None:
            settings["training.epochs"] = epochs
        return self.base.replace(**_nested(settings))

    def grid(self) -> list[dict[str, Value]] | None:
        """All combinations of values; None where a range has no end of them."""
        combinations = [{}]
        for parameter in self.parameters:
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

    def size(self) -> float:
        """How many combinations there are."""
        grid = self.grid()
        return math.inf if grid is None else len(grid)

    def paper(self, values: dict[str, Value]) -> str:
        """The paper's figure for a combination, or nothing."""
        figures = [
            p.paper[values[p.name]] for p in self.parameters if values.get(p.name) in p.paper
        ]
        return str(figures[0]) if figures else ""


def _labelled(name: str, choices: dict | list) -> dict[Value, dict]:
    """Choices with the settings that they stand for."""
    if isinstance(choices, list):
        choices = {_label(value): {name: value} for value in choices}
    elif not all(isinstance(settings, dict) for settings in choices.values()):
        raise InputError(f"sweep: each choice of {name} must be a mapping of settings")
    kinds = {type(label) for label in choices}
    # Keras Tuner takes values of one type only.
    if kinds == {int, float}:
        return {float(label): settings for label, settings in choices.items()}
    if len(kinds) > 1:
        return {str(label): settings for label, settings in choices.items()}
    return choices


def _label(value) -> Value:
    """What a table and Keras Tuner call a value."""
    if value is None:
        return "default"
    return " to ".join(map(str, value)) if isinstance(value, list) else value


def _nested(settings: dict) -> dict:
    """Settings by dotted name as sections, for `Run.replace`."""
    sections: dict = {}
    for name, value in settings.items():
        section, _, rest = name.partition(".")
        if not rest:
            raise InputError(
                f"sweep: '{name}' is no setting; settings have their section before them, such as "
                "training.batch_size"
            )
        sections.setdefault(section, {})[rest] = value
    return sections
