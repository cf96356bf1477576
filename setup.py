"""What pip installs; pyproject.toml configures the build system, ruff, mypy and pytest."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
URL = "https://github.com/keras-simsiam/keras-simsiam"
VERSION = re.search(
    r'^__version__ = "(.+)"', (HERE / "keras_simsiam/__init__.py").read_text(), re.MULTILINE
).group(1)

EXPERIMENTS = ["jinja2>=3"]
SAFETENSORS = "safetensors>=0.4"
TORCH = ["torch>=2.4", SAFETENSORS]
TEST = [
    *EXPERIMENTS,
    "mypy>=1.11",
    "pytest>=8",
    "ruff>=0.6",
    SAFETENSORS,
    # tensorflow-datasets' own test of a builder imports it without requiring it.
    "dill",
]

# The last TensorFlow with Keras 2, which is the last that TensorFlow Addons works with.
ADDONS = [
    "tensorflow~=2.15.0",
    "keras~=2.15.0",
    "tensorflow-addons~=0.23.0",
    # Newer ones need a newer protobuf than TensorFlow 2.15 does.
    "tensorflow-metadata<1.17",
]

BENCH = [
    *EXPERIMENTS,
    *TORCH,
    "torchvision>=0.19",
    "lightly>=1.5",
    "albumentations>=2.0",
    "faiss-cpu>=1.8",
]

setup(
    name="keras-simsiam",
    version=VERSION,
    description="SimSiam for Keras: learning image features without labels",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    url=URL,
    project_urls={
        "Changelog": f"{URL}/blob/main/CHANGELOG.md",
        "Paper": "https://arxiv.org/abs/2011.10566",
    },
    license="Apache-2.0",
    keywords=[
        "computer vision",
        "keras",
        "representation learning",
        "self-supervised learning",
        "siamese networks",
        "simsiam",
        "tensorflow",
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["keras_simsiam", "keras_simsiam.*"]),
    package_data={
        "keras_simsiam": ["__init__.pyi", "py.typed"],
        "keras_simsiam.collection": ["page.html"],
        "keras_simsiam.data": ["checksums.tsv"],
        "keras_simsiam.native": ["views.cc"],
    },
    install_requires=[
        # pip takes the newest, with Keras 3; the extra "addons" asks for the oldest.
        "tensorflow>=2.15",
        "keras>=2.15",
        "keras-tuner>=1.4.7",
        "tensorflow-datasets>=4.9.6",
        # tensorflow-datasets imports it without requiring it.
        "importlib_resources",
        # No longer comes with TensorFlow; Keras's TensorBoard callback and Keras Tuner need it.
        "tensorboard>=2.15",
        "matplotlib>=3.8",
        "scikit-image>=0.22",
        # Comes with scikit-image: TIFF files.
        "tifffile>=2022.8.12",
        # Comes with both: headers of image files, and variants of images.
        "pillow>=10",
        # t-SNE and the confusion matrix of an evaluation, and the maps of collections.
        "scikit-learn>=1.4",
        # Threads of NumPy's matrix products; scikit-learn requires it, too.
        "threadpoolctl>=3",
        # Comes with scikit-learn: the perceptual hash, and groups of duplicates.
        "scipy>=1.11",
        "PyYAML>=6",
        # Locks of trials, which end with the process that holds them.
        "filelock>=3.12",
        # Options from dataclasses.
        "simple-parsing>=0.1.5",
        # Public names that are loaded on first use.
        "lazy-loader>=0.4",
    ],
    extras_require={
        "experiments": EXPERIMENTS,
        "test": TEST,
        "dev": TEST,
        "torch": TORCH,
        "addons": ADDONS,
        "bench": BENCH,
        "onnx": ["tf2onnx>=1.16", "onnxruntime>=1.17"],
        "umap": ["umap-learn>=0.5"],
    },
)
