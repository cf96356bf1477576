"""The self-supervised methods by name."""

from __future__ import annotations

import importlib

from keras_simsiam.errors import check_choice
from keras_simsiam.fields import choices
from keras_simsiam.model_settings import Model
from keras_simsiam.models.base import JointEmbedding


def method(name: str) -> type[JointEmbedding]:
    """The class of a method: the `JointEmbedding` that the module of its name defines.

    Args:
        name: One of the choices of `config.Model.method`, such as "simsiam".

    Raises:
        InputError: If there is no such method.
    """
    check_choice("method", name, choices(Model, "method"))
    module = importlib.import_module(f"keras_simsiam.models.{name}")
    classes = (value for value in vars(module).values() if isinstance(value, type))
    own = (c for c in classes if c.__module__ == module.__name__)
    (found,) = (c for c in own if issubclass(c, JointEmbedding))
    return found
