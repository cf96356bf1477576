"""Seconds until the command answers, and trains: ``python -m experiments.benchmarks.startup``.

``--help``, an error in an option, and the default run up to the end of its first training step,
each in a process of its own.
"""

from __future__ import annotations

import argparse
import functools
import subprocess
import sys
import tempfile
import time

from experiments.benchmarks import common
from keras_simsiam import options

COMMAND = (sys.executable, "-m", "keras_simsiam.train")


def main(argv: list[str] | None = None) -> None:
    """Measures each in turn."""
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
    """Seconds that the command takes."""
    started = time.perf_counter()
    subprocess.run([*COMMAND, *arguments], capture_output=True, check=False)
    return time.perf_counter() - started


def to_first_step() -> float:
    """Seconds until the progress bar shows a first step, its tracing and baselines before it."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        where = ("--run-dir", folder, "--saved-model-dir", folder)
        command = subprocess.Popen([*COMMAND, *where], stdout=subprocess.PIPE, text=True)
        for line in command.stdout:
            if "s/step" in line:
                break
        else:
            raise RuntimeError(f"{' '.join(COMMAND)} ended without a training step")
        taken = time.perf_counter() - started
        command.kill()
        command.communicate()
    return taken


if __name__ == "__main__":
    options.run_command(main)
