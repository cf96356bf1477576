"""A parameter of a sweep and its values, as a YAML file may list them.

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

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keras_simsiam.errors import InputError, shown

if TYPE_CHECKING:
    import keras_tuner as kt

Value = str | int | float | bool


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
