"""What pip installs; build system, ruff and pytest are set in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"', (HERE / "keras_simsiam/__init__.py").read_text(), re.MULTILINE
).group(1)

EXPERIMENTS = ["jinja2>=3"]
SAFETENSORS = "safetensors>=0.4"
TORCH = ["torch>=2.4", SAFETENSORS]
TEST = [
    *EXPERIMENTS,
    "pytest>=8",
    "ruff>=0.6",
    SAFETENSORS,
    # tensorflow-datasets' test of a builder imports it, but does not ask for it.
    "dill",
]

# The last TensorFlow with Keras 2, which is the last that TensorFlow Addons runs with.
ADDONS = [
    "tensorflow~=2.15.0",
    "keras~=2.15.0",
    "tensorflow-addons~=0.23.0",
    # Newer ones, which tensorflow-datasets would take, need a newer protobuf than TensorFlow does.
    "tensorflow-metadata<1.17",
    # The newest that goes with Python 3.10, which the pip that comes with it does not find.
    'etils<1.14; python_version < "3.11"',
]

BENCH = [
    *EXPERIMENTS,
    *TORCH,
    "torchvision>=0.19",
    "lightly>=1.5",
    "faiss-cpu>=1.8",
]

setup(
    name="keras-simsiam",
    version=VERSION,
    description="SimSiam for Keras: learning image features without labels",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["keras_simsiam", "keras_simsiam.*"]),
    package_data={"keras_simsiam.data": ["checksums.tsv"]},
    install_requires=[
        # pip takes the newest, with Keras 3; the extra "addons" asks for the oldest.
        "tensorflow>=2.15",
        "keras>=2.15",
        "keras-tuner>=1.4.7",
        "tensorflow-datasets>=4.9.6",
        # tensorflow-datasets imports it, but does not ask for it.
        "importlib_resources",
        # TensorFlow no longer brings it; Keras's TensorBoard callback and Keras Tuner need it.
        "tensorboard>=2.15",
        "matplotlib>=3.8",
        "scikit-image>=0.22",
        # The map of features that evaluation draws, and its confusion matrix.
        "scikit-learn>=1.4",
        "PyYAML>=6",
        # Locks that end with their process, for the trials of a sweep.
        "filelock>=3.12",
        # Options from dataclasses; tensorflow-datasets brings it, too.
        "simple-parsing>=0.1.5",
    ],
    extras_require={
        "experiments": EXPERIMENTS,
        "test": TEST,
        "dev": TEST,
        "torch": TORCH,
        "addons": ADDONS,
        "bench": BENCH,
    },
)
