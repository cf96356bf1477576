"""Loads the compiled operations, if they are there."""

from __future__ import annotations

import functools
import os
import warnings
from typing import Any

import tensorflow as tf

from keras_simsiam.native import build

VARIABLE = "KERAS_SIMSIAM_NATIVE"
"""Environment variable that turns the operations off if it is 0."""

_NAMES = (
    "keras_simsiam_views",
    "keras_simsiam_crops",
    "keras_simsiam_square",
    "keras_simsiam_uniforms",
)
_BUILD = "python -m keras_simsiam.native builds them again; until then, TensorFlow makes the views"


@functools.cache
def operations() -> Any:
    """The operations' module, or None if they are turned off, were not built or cannot be loaded.

    If they were built but cannot be used, a warning says why.
    """
    if os.environ.get(VARIABLE) == "0":
        return None
    path = build.library()
    try:
        if not path.exists():
            if build.libraries():
                warnings.warn(
                    "the native operations were built for another version or processor; " + _BUILD,
                    stacklevel=2,
                )
            return None
        build.check(path)
        module = tf.load_op_library(str(path))
        missing = [name for name in _NAMES if not hasattr(module, name)]
        if missing:
            raise OSError(f"{path} lacks {', '.join(missing)}")
        return module
    except (OSError, tf.errors.OpError) as e:
        said = str(e).splitlines()[0]
        warnings.warn(f"the native operations cannot be loaded: {said}; {_BUILD}", stacklevel=2)
        return None
