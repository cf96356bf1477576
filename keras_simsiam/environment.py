"""What results and speed depend on: the processor, its settings and the versions of packages."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import platform
import re
from importlib import metadata

import keras_simsiam
from keras_simsiam.errors import InputError


def set_defaults() -> None:
    """Sets TensorFlow's variables where the user has not, before TensorFlow is imported.

    oneDNN's convolutions train about twice as fast on processors with AVX2. TensorFlow uses them by
    itself where there is AVX-512. On a single core they are left off: where an operation has one
    thread, the gradient of some convolutions damages memory (see ``training/README.md``).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if platform.machine().lower() in ("x86_64", "amd64") and cores() > 1:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@functools.cache
def processor() -> str:
    """The processor's model as ``lscpu`` names it, and how many of its cores may be used."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    named = re.search(r"^model name\s*:\s*(.*\S)", text, re.MULTILINE)
    model = named[1] if named else platform.processor() or platform.machine()
    return f"{model}, {cores()} {'core' if cores() == 1 else 'cores'}"


@functools.cache
def multiplies_bfloat16() -> bool:
    """Whether the processor, an x86 on Linux, has instructions for products in bfloat16."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    return cpuinfo.exists() and bool(
        re.search(r"^flags\b.*\b(avx512_bf16|amx_bf16)\b", cpuinfo.read_text(), re.MULTILINE)
    )


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int | None:
    """Bytes of memory that are free, or hold only what can be read again; None if not known.

    On Linux, that is what the machine has or, if that is less, what the process's group may take.
    """
    meminfo = pathlib.Path("/proc/meminfo")
    text = meminfo.read_text() if meminfo.exists() else ""
    available = re.search(r"^MemAvailable:\s*(\d+) kB", text, re.MULTILINE)
    if not available:
        return None
    free = 1024 * int(available[1])
    with contextlib.suppress(OSError, ValueError):  # no group, or one without a limit
        group = pathlib.Path("/sys/fs/cgroup")
        limit, used = (int((group / f"memory.{n}").read_text()) for n in ("max", "current"))
        read = re.findall(
            r"^(?:in)?active_file (\d+)", (group / "memory.stat").read_text(), re.MULTILINE
        )
        free = min(free, limit - used + sum(map(int, read)))
    return free


def check_memory(images: str, count: int, each: int, remedy: str) -> None:
    """Raises InputError if images do not fit into the free memory.

    Args:
        images: What they are, for the message, such as "images of 64×64 pixels".
        count: How many there are.
        each: Bytes that one takes.
        remedy: What needs less memory.
    """
    free = free_memory()
    if free is not None and count * each > free:
        raise InputError(
            f"{count:,} {images} need {count * each / 2**30:.1f} GiB of memory; "
            f"{free / 2**30:.1f} GiB are free: {free // each:,} images would fit, and {remedy}"
        )


def versions(*more: str) -> dict[str, str]:
    """Versions of this package, TensorFlow, Keras and `more` packages, by name.

    Packages that are not installed are left out.
    """
    found = {"keras-simsiam": keras_simsiam.__version__}
    for package in ("tensorflow", "keras", *more):
        # tensorflow-cpu installs the module tensorflow as well.
        for distribution in (package, f"{package}-cpu"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                found.setdefault(package, metadata.version(distribution))
    return found
