"""Makes one HTML page of all results: ``python -m experiments.report``."""

from __future__ import annotations

import argparse
import base64
import pathlib
from collections.abc import Sequence

import jinja2

from experiments import common
from keras_simsiam import InputError, documents, metrics, options
from keras_simsiam.files import write_text
from keras_simsiam.tables import markdown

_SHOWN = ("title", "seeds", "versions", "minutes", "cited", "configuration")
"""What the page shows of the files that `experiments.common.publish` writes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="runs/report.html", type=pathlib.Path)
    args = parser.parse_args(argv)
    names = sorted(path.stem for path in (common.HERE / "results").glob("*.csv"))
    if not names:
        raise InputError("there are no results yet; start with python -m experiments.predictor")
    watch = collapse_table(names)
    write_text(args.output, page([_experiment(name) for name in names], watch))
    print(f"{markdown(watch)}\n\n{len(names)} experiments in {args.output}")
    return 0


def collapse_table(names: list[str]) -> list[list[str]]:
    """What `CollapseMonitor` said of each variant, the healthiest first."""
    variants = [
        (rank, name, line)
        for name in names
        for line in common.read(common.HERE / "results" / f"{name}.csv")
        if (rank := line.mean("projector_rank")) is not None
    ]
    shown = [metrics.describe(key).heading for key in ("projector_rank", "z_std", "knn_top1")]
    rows = [["experiment", "variant", *shown, "status"]]
    for _, name, line in sorted(variants, key=lambda variant: -variant[0]):
        headings, cells = common.table([line])[:2]
        rows.append([name, *(cells[headings.index(heading)] for heading in rows[0][1:])])
    return rows


def page(experiments: list[dict], watch: list[list[str]]) -> str:
    """The page as self-contained HTML.

    Args:
        experiments: From `_experiment`.
        watch: From `collapse_table`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2").render(experiments=experiments, watch=watch)


def _experiment(name: str) -> dict:
    """The values of the template for one experiment."""
    path = common.HERE / "results" / f"{name}.yaml"
    about = documents.read_yaml(path)
    missing = [key for key in _SHOWN if key not in about]
    if missing:
        raise InputError(f"'{path}' must describe results; it has no '{missing[0]}'")
    figure = common.HERE / "figures" / f"{name}.png"
    return {
        **about,
        "name": name,
        "table": common.table(common.read(common.HERE / "results" / f"{name}.csv"), about["cited"]),
        "figure": base64.b64encode(figure.read_bytes()).decode() if figure.exists() else None,
        "yaml": documents.to_yaml(about["configuration"]),
    }


if __name__ == "__main__":
    options.run_command(main)
