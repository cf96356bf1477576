"""What a result was measured on: the processor and the versions of packages."""

from __future__ import annotations

import functools
import os
import pathlib
import platform
from importlib import metadata

import keras_simsiam


@functools.cache
def processor() -> str:
    """The processor's model as ``lscpu`` names it, and how many of its cores may be used."""
    model = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                model = value.strip()
                break
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} {'core' if cores == 1 else 'cores'}"


def versions(*more: str) -> dict[str, str]:
    """Versions of this package, TensorFlow and Keras, and of `more` packages.

    Packages that are not installed are left out.
    """
    found = {"keras-simsiam": keras_simsiam.__version__}
    for package in ("tensorflow", "keras", *more):
        # tensorflow-cpu installs the module tensorflow as well.
        for distribution in (package, f"{package}-cpu"):
            try:
                found[package] = metadata.version(distribution)
                break
            except metadata.PackageNotFoundError:
                continue
    return found
