"""Prints all results of the benchmarks as tables: ``python -m experiments.benchmarks``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from experiments.benchmarks import common
from keras_simsiam import documents, options
from keras_simsiam.tables import markdown


def main(argv: Sequence[str] | None = None) -> int:
    """Prints how many times as fast this package is as each rival, then each benchmark's table."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    files = sorted((common.HERE / "results/benchmarks").glob("*.json"))
    results = [documents.read_json(path) for path in files]
    print(markdown(compared(results)))
    for written in results:
        processor = written.get("processor", "measured before results named the processor")
        print(f"\n{markdown(common.table(written))}\n\n{processor}")
    return 0


def compared(results: list[dict]) -> list[list[str]]:
    """How many times as fast this package is as each rival of each benchmark that has it."""
    rows = [["what", "compared with", "times as fast", "range over rounds", "processor"]]
    for written in results:
        measured = written["results"]
        ours = next((name for name in measured if name.startswith(common.OURS)), None)
        for rival in measured if ours else ():
            if not rival.startswith(common.OURS) and "rounds" in measured[rival]:
                rounds = (measured[name]["rounds"] for name in (ours, rival))
                middle, *ends = common.ratio(*rounds)
                cells = [f"{middle:.2f}", " to ".join(f"{end:.2f}" for end in ends)]
                rows.append([written["title"], rival, *cells, written["processor"]])
    return rows


if __name__ == "__main__":
    options.run_command(main)
