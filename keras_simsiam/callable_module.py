"""Commands that share their name with a public function, such as `keras_simsiam.embed`."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any


def calls(module: str, home: str) -> None:
    """Makes a command's module callable as the public function of the same name.

    Once a program has imported the module, Python makes it the package's attribute, in place of the
    function: ``keras_simsiam.embed(...)`` works either way.

    Args:
        module: The module, ``__name__`` in it.
        home: The module that has the function.
    """
    name = module.rpartition(".")[2]

    class CallableModule(types.ModuleType):
        """The module of a command, which is called as a function."""

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return getattr(importlib.import_module(home), name)(*args, **kwargs)

    sys.modules[module].__class__ = CallableModule
