"""SimSiam for Keras: learning image features without labels (Chen and He, CVPR 2021).

The stub ``__init__.pyi`` lists the public names. Each is loaded on first use, so that ``--help``
of a command does not wait for TensorFlow.
"""

from __future__ import annotations

import importlib
import re
import sys

import lazy_loader

from keras_simsiam import _stack, config
from keras_simsiam.fields import choices

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def _is_our_command() -> bool:
    """Whether Python imports the package to run ``python -m keras_simsiam.<command>``."""
    if sys.argv[:1] != ["-m"]:  # its value until Python has located the module to run
        return False
    module = "".join(sys.orig_argv[-len(sys.argv) :][:1])  # NAME, or -mNAME
    return re.fullmatch(rf"(-\w*m)?{__name__}(\.\w+)*", module) is not None


_in_command = _is_our_command()
if (_problem := _stack.problem()) is not None:
    raise SystemExit(f"error: {_problem}") if _in_command else ImportError(_problem)
if (_problem := _stack.wrong_setting()) is not None:
    if _in_command:  # the exit code of invalid input
        print(f"error: {_problem}", file=sys.stderr)
        raise SystemExit(2)
    raise ImportError(_problem)
if not _in_command:  # commands import what they need after parsing their options
    # `keras.models.load_model` must know our classes as soon as the package is imported.
    for _module in (
        "optimizers",
        "fine_tuning.classifier",
        *(f"models.{m}" for m in choices(config.Model, "method")),
    ):
        importlib.import_module(f"{__name__}.{_module}")
