"""Seconds until the training command responds: ``python -m experiments.benchmarks.startup``.

Measures ``--help``, an invalid option, and the default run until its first training step, each in a
process of its own.
"""

from __future__ import annotations

import argparse
import functools
import os
import pty
import resource
import subprocess
import sys
import tempfile
import time

from experiments.benchmarks import common
from keras_simsiam import options

COMMAND = (sys.executable, "-m", "keras_simsiam.train")


def main(argv: list[str] | None = None) -> None:
    """Measures each of the three in turn."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(argv)
    makers = {
        "--help": functools.partial(to_the_end, "--help"),
        "--epochs 0, an error": functools.partial(to_the_end, "--epochs", "0"),
        "first training step": to_first_step,
    }
    found = common.paired(makers, args.rounds)
    common.report("startup", "keras_simsiam.train, start-up", "s", found)


def to_the_end(*arguments: str) -> float:
    """Seconds until the command exits."""
    started = time.perf_counter()
    subprocess.run([*COMMAND, *arguments], capture_output=True, check=False)
    return time.perf_counter() - started


def to_first_step() -> float:
    """Seconds until the default run takes its first step, baselines and tracing included."""
    with tempfile.TemporaryDirectory() as folder:
        return first_step(folder)[0]


def first_step(folder: str, *arguments: str) -> tuple[float, resource.struct_rusage]:
    """Runs the command until its progress bar shows the first step.

    Args:
        folder: Where the run and its SavedModel go.
        *arguments: Options of the command.

    Returns:
        Seconds by the clock, and the resources that the command used.

    Raises:
        RuntimeError: If it ends before that.
    """
    output = ("--run-dir", f"{folder}/runs", "--saved-model-dir", f"{folder}/saved_models")
    terminal, inner = pty.openpty()  # without a terminal there is no progress bar
    started, text = time.perf_counter(), b""
    command = subprocess.Popen([*COMMAND, *arguments, *output], stdout=inner, stderr=inner)
    os.close(inner)
    with open(terminal, "rb", buffering=0) as shown:
        while b"s/step" not in text:
            try:
                text += shown.read(4096)
            except OSError:  # the command has closed the terminal
                raise RuntimeError(f"no training step in the output: {text.decode()}") from None
    taken = time.perf_counter() - started
    command.kill()
    return taken, os.wait4(command.pid, 0)[2]


if __name__ == "__main__":
    options.run_command(main)
