"""Shared by all tests: the reference arrays, and quiet TensorFlow."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

REFERENCE = pathlib.Path(__file__).parent / "reference"


@pytest.fixture(scope="session")
def reference():
    """Arrays computed by PyTorch, torchvision and Pillow; see reference/README.md."""

    def read(name):
        with np.load(REFERENCE / f"{name}.npz") as file:
            return dict(file)

    return read
