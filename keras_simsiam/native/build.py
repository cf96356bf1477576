"""Compiles the operations for this TensorFlow and this processor."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess

import tensorflow as tf

from keras_simsiam.errors import InputError
from keras_simsiam.files import cache_folder, written_atomically

_SOURCE = pathlib.Path(__file__).with_name("views.cc")
_COMPILERS = ("g++", "clang++")
_FLAGS = (
    "-O3",
    "-march=native",
    # Fused products and sums would round other numbers on other processors.
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fPIC",
    "-shared",
    "-w",  # warnings are those of TensorFlow's headers
)


def library() -> pathlib.Path:
    """The library for this source, TensorFlow and processor, whether it exists or not."""
    key = hashlib.sha256(_SOURCE.read_bytes())
    for part in (*_FLAGS, tf.__version__, tf.version.GIT_VERSION, _processor()):
        key.update(part.encode() + b"\0")
    return cache_folder() / f"views-tensorflow-{tf.__version__}-{key.hexdigest()[:16]}.so"


def libraries() -> list[pathlib.Path]:
    """All libraries that were built, for whatever TensorFlow and processor."""
    return sorted(cache_folder().glob("views-*.so"))


def record(path: pathlib.Path) -> pathlib.Path:
    """The file beside a library with its digest, and how it was built."""
    return path.with_suffix(".json")


def check(path: pathlib.Path) -> None:
    """Raises OSError unless a library is whole; loading half of one would end the process."""
    try:
        expected = json.loads(record(path).read_text())["sha256"]
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise OSError(f"{path} cannot be read: {e}") from e
    if found != expected:
        raise OSError(f"{path} is damaged")


def compiler() -> list[str]:
    """The command of the C++ compiler: CXX in the environment, or the first that is installed."""
    if chosen := os.environ.get("CXX"):
        return shlex.split(chosen)
    for name in _COMPILERS:
        if shutil.which(name):
            return [name]
    raise InputError(
        f"a C++ compiler is needed, {' or '.join(_COMPILERS)} (apt-get install g++); none was found"
    )


def build() -> pathlib.Path:
    """Compiles the operations and returns the library.

    Raises:
        InputError: If there is no C++ compiler, or it fails.
    """
    tool, path = compiler(), library()
    include, link = tf.sysconfig.get_compile_flags(), tf.sysconfig.get_link_flags()
    with written_atomically(path) as partial:
        command = [*tool, *_FLAGS, *include, str(_SOURCE), "-o", str(partial), *link]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as e:
            raise InputError(f"cannot run the compiler {shlex.join(tool)}: {e}") from e
        if done.returncode:
            said = re.findall(r"^.*error:? .*$", done.stderr, re.MULTILINE) or [done.stderr.strip()]
            raise InputError(f"{shlex.join(tool)} failed: {said[0][:300]}")
        digest = hashlib.sha256(partial.read_bytes()).hexdigest()
        about = {"sha256": digest, "tensorflow": tf.__version__, "command": shlex.join(command)}
        with written_atomically(record(path)) as written:
            written.write_text(json.dumps(about, indent=2) + "\n")
    return path


def _processor() -> str:
    """What the code is compiled for: the processor's model and its instructions."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else platform.processor()
    named = re.findall(r"^(?:model name|flags|CPU part|Features)\s*:.*$", text, re.MULTILINE)
    return "\n".join([platform.machine(), *dict.fromkeys(named)])
