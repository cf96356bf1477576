"""Runs the package's commands as ``python -m`` does, in this process."""

import runpy
import sys

import pytest


def command(name, *argv):
    """Runs ``python -m keras_simsiam.NAME``; returns its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, argv)])
        # Not imported: the module `embed` would take the place of the function `embed`.
        with pytest.raises(SystemExit) as caught:
            runpy.run_module(f"keras_simsiam.{name}", run_name="__main__", alter_sys=True)
    return caught.value.code
