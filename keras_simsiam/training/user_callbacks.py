"""Callbacks of the user in a run, for Weights & Biases, MLflow and the like: ``--callback``."""

from __future__ import annotations

import functools
import inspect
import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_simsiam import user_code
from keras_simsiam.config import Run
from keras_simsiam.errors import CallbackFailed, InputError, first_line, shown
from keras_simsiam.training.output import RESUME


def make_callbacks(names: Sequence[str], run: Run) -> list[keras.callbacks.Callback]:
    """The callbacks that functions of the user return.

    Args:
        names: The functions, such as "my_package:make".
        run: The settings of the run, given to functions that take an argument.

    Returns:
        The callbacks. What they raise becomes `CallbackFailed`.

    Raises:
        InputError: If there is no such function, or it does not return a callback.
    """
    return [_named(name, _made(name, run)) for name in names]


def _made(name: str, run: Run) -> keras.callbacks.Callback:
    make = user_code.find_function(name, "callback")
    try:
        made = make(run) if _takes_one(make) else make()
    except Exception as e:  # whatever the function does
        raise InputError(f"callback {name} raises {_said(e)}") from e
    if not isinstance(made, keras.callbacks.Callback):
        raise InputError(
            f"callback {name} must return a keras.callbacks.Callback; got {shown(made)}"
        )
    return made


def _takes_one(make: Callable) -> bool:
    """Whether a function cannot be called without an argument."""
    parameters = inspect.signature(make).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.kind in positional and p.default is p.empty for p in parameters)


def _named(name: str, callback: keras.callbacks.Callback) -> keras.callbacks.Callback:
    """The callback; its methods name it in what they raise."""
    for method in dir(keras.callbacks.Callback):
        if method.startswith("on_"):
            setattr(callback, method, _naming(name, method, getattr(callback, method)))
    return callback


def _naming(name: str, method: str, function: Callable) -> Callable:
    @functools.wraps(function)  # with Keras's mark of methods that do nothing
    def call(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except Exception as e:  # whatever it does
            raise CallbackFailed(
                f"callback {name} raises {_said(e)} in {method}; without it, {RESUME}"
            ) from e

    return call


def _said(error: Exception) -> str:
    """An error with its place in the code."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(place.filename)}, line {place.lineno}"
    return f"{type(error).__name__} ({where}): {first_line(error)}"
