"""Functions of a user's own modules, which options name as ``my_package:make``."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from keras_simsiam.errors import InputError, first_line, shown

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_name(text: str) -> bool:
    """Whether text has the form ``my_package.module:function``."""
    return _NAME.fullmatch(text) is not None


def find_function(name: str, option: str) -> Callable:
    """A function, or class, of a module, which may be in the current folder.

    Args:
        name: The module and what is in it, such as "my_package:make".
        option: The option that has this value, for messages.

    Raises:
        InputError: If the module cannot be imported, or there is no such function in it.
    """
    if not is_name(name):
        raise InputError(f"{option} must be MODULE:FUNCTION, such as my_package:make; got '{name}'")
    module_name, _, path = name.partition(":")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as e:  # of whatever the module does when it is imported
        raise InputError(f"{option} {name}: cannot import {module_name}: {first_line(e)}") from e
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise InputError(
            f"{option} {name}: {module_name} must have a function {path}; got {shown(found)}"
        )
    return found
