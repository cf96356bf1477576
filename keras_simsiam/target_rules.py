"""How the targets follow the trained network. Nothing here imports TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from keras_simsiam.errors import InputError

_FORMS = "self, momentum:M, cosine:M or images:M with M in [0, 1), or every:K with K of at least 1"


@dataclass(frozen=True)
class TargetRule:
    """A rule such as "momentum:0.99".

    Attributes:
        kind: "momentum", an average of the trained weights with a constant momentum; "cosine", the
            same with a momentum that rises to 1 as in BYOL; "every", a copy of the trained weights
            that is renewed every few steps (SimSiam, Section 5.2); "images", an average of each
            image's z with a constant momentum (Section 5.2).
        value: The initial momentum, or the number of steps.
    """

    kind: str
    value: float

    @classmethod
    def parse(cls, text: str, stop_gradient: bool | None = True) -> TargetRule | None:
        """Parses a rule; None for "self".

        Args:
            text: The rule.
            stop_gradient: Whether targets are to be constants; None if a method has no choice.

        Raises:
            InputError: If the text is not a rule, or no gradient passes the target that is to have
                one.
        """
        if text == "self":
            return None
        kind, _, number = str(text).partition(":")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        is_momentum = kind in ("momentum", "cosine", "images") and 0 <= value < 1
        is_period = kind == "every" and value >= 1 and value % 1 == 0
        if not (is_momentum or is_period):
            raise InputError(f"target must be {_FORMS}; got {text!r}")
        if stop_gradient is False:
            raise InputError(
                "target must be self without stop_gradient, as others have no gradient; "
                f"got {text!r}"
            )
        return cls(kind, value)


def by_image(target: str | None) -> bool:
    """Whether by a rule each image has a target of its own, so that its number must be known."""
    return target is not None and target.startswith("images:")
