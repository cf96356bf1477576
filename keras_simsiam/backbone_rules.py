"""Which backbones there are, as text that options and files can hold."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Literal, Self

from keras_simsiam import user_code
from keras_simsiam.errors import InputError, shown

ResNet = Literal["resnet18", "resnet34", "resnet50"]
"""The backbones of `keras_simsiam.models.resnet`."""

IMAGENET = "imagenet"
"""The weights that `keras.applications` downloads."""

NO_WEIGHTS = "none"
"""Random weights, also where a file has others."""

_APPLICATION, _FILE = "keras:", ".keras"


@dataclass(frozen=True)
class BackboneRule:
    """Where a backbone comes from.

    Attributes:
        kind: "resnet" for one of `ResNet`, "application" for ``keras:NAME`` of
            `keras.applications`, "file" for ``FILE.keras``, or "function" for ``MODULE:FUNCTION``.
        name: What it is called there.
    """

    kind: Literal["resnet", "application", "file", "function"]
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The rule that a text stands for.

        Raises:
            InputError: If it stands for none.
        """
        own = typing.get_args(ResNet)
        if text in own:
            return cls("resnet", text)
        if text.startswith(_APPLICATION):
            return cls("application", text.removeprefix(_APPLICATION))
        if text.endswith(_FILE):
            return cls("file", text)
        if user_code.is_name(text):
            return cls("function", text)
        raise InputError(
            f"backbone must be one of {', '.join(own)}, keras:NAME, FILE.keras or "
            f"MODULE:FUNCTION; got {shown(text)}"
        )

    def check_weights(self, weights: str | None) -> None:
        """Raises InputError if there are no such weights for it: a file may be for any."""
        if weights == IMAGENET and self.kind != "application":
            raise InputError(
                "backbone_weights imagenet must be for a model of keras.applications, such as "
                f"keras:EfficientNetV2B0; got {self.name}"
            )
