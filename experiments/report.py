"""Gathers what has been run into one HTML page: ``python -m experiments.report``."""

from __future__ import annotations

import argparse
import base64
import pathlib
import statistics

import jinja2
import yaml

from experiments import common
from keras_simsiam import InputError, options
from keras_simsiam.tables import markdown


def main(argv: list[str] | None = None) -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="runs/report.html", type=pathlib.Path)
    args = parser.parse_args(argv)
    names = sorted(path.stem for path in (common.HERE / "results").glob("*.csv"))
    if not names:
        raise InputError("no experiment has been run; start with python -m experiments.predictor")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    watch = collapse_table(names)
    args.output.write_text(page([_experiment(name) for name in names], watch))
    print(f"{markdown(watch)}\n\n{len(names)} experiments in {args.output}")


def collapse_table(names: list[str]) -> list[list[str]]:
    """What `CollapseMonitor` said of every kind of run, the healthiest first."""
    groups = []
    for name in names:
        for variant, rows in common.grouped(common.read(common.HERE / "results" / f"{name}.csv")):
            ranks = [r["projector_rank"] for r in rows if r["projector_rank"] is not None]
            if ranks:
                groups.append((statistics.mean(ranks), name, variant, rows))
    lines = [["experiment", "variant", "rank of z", "z_std", "kNN top-1", "warned of collapse"]]
    for _, name, variant, rows in sorted(groups, key=lambda group: -group[0]):
        heads, cells = common.table(rows)[:2]
        shown = [cells[heads.index(head)] for head in lines[0][2:]]
        lines.append([name, variant, *shown])
    return lines


def page(experiments: list[dict], watch: list[list[str]]) -> str:
    """The page as HTML, which needs no other file.

    Args:
        experiments: What it shows of each.
        watch: The table of `CollapseMonitor`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2").render(experiments=experiments, watch=watch)


def _experiment(name: str) -> dict:
    """What the page shows of one experiment."""
    about = yaml.safe_load((common.HERE / "results" / f"{name}.yaml").read_text())
    figure = common.HERE / "figures" / f"{name}.png"
    return {
        **about,
        "name": name,
        "table": common.table(common.read(common.HERE / "results" / f"{name}.csv"), about["cited"]),
        "figure": base64.b64encode(figure.read_bytes()).decode() if figure.exists() else None,
        "yaml": yaml.safe_dump(about["configuration"], sort_keys=False),
    }


if __name__ == "__main__":
    options.run_command(main)
