"""Gathers what has been run into one HTML page: ``python -m experiments.report``."""

from __future__ import annotations

import argparse
import base64
import pathlib

import jinja2
import yaml

from experiments import common
from keras_simsiam import InputError, options


def main(argv: list[str] | None = None) -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="runs/report.html", type=pathlib.Path)
    args = parser.parse_args(argv)
    names = sorted(path.stem for path in (common.HERE / "results").glob("*.csv"))
    if not names:
        raise InputError("no experiment has been run; start with python -m experiments.predictor")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(page([_experiment(name) for name in names]))
    print(f"{len(names)} experiments in {args.output}")


def page(experiments: list[dict]) -> str:
    """The page as HTML, which needs no other file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2").render(experiments=experiments)


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
