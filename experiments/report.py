"""Makes one HTML page of the reproduction, claim by claim: ``python -m experiments.report``."""

from __future__ import annotations

import argparse
import base64
import pathlib
from collections.abc import Sequence

import jinja2

from experiments import common, evidence
from experiments.claims import CLAIMS
from experiments.evidence import Experiment
from keras_simsiam import InputError, documents, metrics, options
from keras_simsiam.files import write_text
from keras_simsiam.tables import markdown


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="runs/report.html", type=pathlib.Path)
    args = parser.parse_args(argv)
    results = evidence.load()
    if not results:
        raise InputError("there are no results yet; start with python -m experiments.predictor")
    seen: set[str] = set()
    judged = judge(results, seen)
    experiments = [_experiment(found, seen) for found in results]
    write_text(args.output, page(judged, experiments, collapse_table(results)))
    verdicts = [["verdict", "claim"], *([c["verdict"], c["quote"]] for c in judged)]
    print(f"{markdown(verdicts)}\n\n{len(results)} experiments in {args.output}")
    return 0


def judge(results: Sequence[Experiment], seen: set[str]) -> list[dict]:
    """The values of the template for each claim of the report; see `_figure` for `seen`."""
    judged = []
    for claim in CLAIMS:
        found = claim.judge(results)
        figures = [_figure(name, seen) for name in found.figures]
        judged.append(
            {
                "quote": claim.quote,
                "command": claim.command,
                "verdict": found.verdict,
                "because": found.because,
                "figures": [figure for figure in figures if figure],
            }
        )
    return judged


def collapse_table(results: Sequence[Experiment]) -> list[list[str]]:
    """What `CollapseMonitor` said of each variant, the healthiest first."""
    variants = [
        (rank, found.name, line)
        for found in results
        for line in found.lines
        if (rank := line.mean("projector_rank")) is not None
    ]
    shown = [metrics.describe(key).heading for key in ("projector_rank", "z_std", "knn_top1")]
    rows = [["experiment", "variant", *shown, "status"]]
    for _, name, line in sorted(variants, key=lambda variant: -variant[0]):
        headings, cells = common.table([line])[:2]
        rows.append([name, *(cells[headings.index(heading)] for heading in rows[0][1:])])
    return rows


def page(claims: list[dict], experiments: list[dict], watch: list[list[str]]) -> str:
    """The page as self-contained HTML.

    Args:
        claims: From `judge`.
        experiments: From `_experiment`.
        watch: From `collapse_table`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.get_template("report.html.j2")
    return template.render(claims=claims, experiments=experiments, watch=watch)


def _experiment(found: Experiment, seen: set[str]) -> dict:
    """The values of the template for one experiment."""
    return {
        **found.about,
        "name": found.name,
        "table": common.table(found.lines, found.about["cited"]),
        "figure": _figure(found.name, seen),
        "yaml": documents.to_yaml(found.about["configuration"]),
    }


def _figure(name: str, seen: set[str]) -> dict | None:
    """A figure with its PNG in base64, or without it if it is among those seen before.

    None if there is no figure of that name.
    """
    path = common.HERE / "figures" / f"{name}.png"
    if not path.exists():
        return None
    data = None if name in seen else base64.b64encode(path.read_bytes()).decode()
    seen.add(name)
    return {"name": name, "data": data}


if __name__ == "__main__":
    options.run_command(main)
