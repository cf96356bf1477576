"""What the experiments share: each run done once, a table of means and ranges, the options."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import hashlib
import json
import pathlib
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence

import keras
import yaml

from keras_simsiam import Run, TrainingDiverged, data, plots, presets
from keras_simsiam.tables import markdown
from keras_simsiam.training.callbacks import read_history
from keras_simsiam.training.output import Output
from keras_simsiam.training.run import train

HERE = pathlib.Path(__file__).parent
RUNS = pathlib.Path("runs/experiments")
COLUMNS = {
    "loss": ("loss", "{:.3f}"),
    "z_std": ("z_std", "{:.2f}"),
    "projector_rank": ("rank of z", "{:.1f}"),
    "backbone_rank": ("rank of features", "{:.1f}"),
    "knn_top1": ("kNN top-1", "{:.1%}"),
    "linear_top1": ("linear top-1", "{:.1%}"),
}
"""What a table says of a run, with its head and its format; one that runs lack is left out."""

BASELINES = {"random_weights": "random weights", "raw_pixels": "raw pixels"}
"""What needs no training, as summaries and as tables call it."""


@dataclasses.dataclass
class Variant:
    """One row of an experiment's table.

    Attributes:
        name: What to call it.
        changes: Its settings that differ from the base's, as nested dicts.
        paper: The paper's figure for it, as text.
        prepare: Changes the compiled model, where no setting does; its name marks the run.
    """

    name: str
    changes: dict
    paper: str = ""
    prepare: Callable[[keras.Model], None] | None = None


def parse(description: str, argv: list[str] | None = None) -> argparse.Namespace:
    """The options that all experiments take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--dataset", default="photo_patches")
    parser.add_argument("--data-dir")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="epochs a run; the scale's if not given")
    parser.add_argument(
        "--scale",
        choices=["small", "full"],
        default="small",
        help="small: what 2 CPU cores finish; full: the preset of the dataset, for a GPU",
    )
    return parser.parse_args(argv)


def base_run(args: argparse.Namespace) -> Run:
    """The run that the variants change."""
    small = {
        "model": {"width": 16},
        "training": {"epochs": 8, "batch_size": 64, "learning_rate": 0.5},
        "evaluation": {"knn_every": 2},
    }
    run = presets.preset(presets.default_preset(args.dataset))
    run = run.replace(**(small if args.scale == "small" else {}))
    run = run.replace(data={"dataset": args.dataset, "data_dir": args.data_dir})
    return run.replace(training={"epochs": args.epochs}) if args.epochs else run


def compare(
    description: str, name: str, variants: list[Variant], argv: list[str] | None = None
) -> None:
    """A whole experiment: runs what has not been run, writes the table and a figure of bars."""
    args = parse(description, argv)
    rows = run_all(base_run(args), variants, args.seeds)
    name = f"{name}_{args.dataset}"
    report(name, description, args, rows)
    plots.compared_bars(
        {variant: [r["knn_top1"] for r in group] for variant, group in grouped(rows)},
        HERE / "figures" / f"{name}.png",
        f"{args.dataset}, {len(args.seeds)} seeds",
        baselines(rows),
    )


def baselines(rows: list[dict]) -> dict[str, float]:
    """Mean accuracies of random weights and of raw pixels, by key."""
    keys = [f"{c}_{b}" for c in COLUMNS for b in BASELINES]
    return {k: statistics.mean(r[k] for r in rows) for k in keys if k in rows[0]}


def run_all(base: Run, variants: list[Variant], seeds: list[int]) -> list[dict]:
    """Runs every variant with every seed that has not been run yet.

    A run is known by its settings, so experiments share those that they have in common, and an
    experiment started again goes on where it was.

    Returns:
        For each variant and seed its summary, with ``variant``, ``paper``, ``history`` and
        ``folder`` added.
    """
    rows = []
    for variant in variants:
        for seed in seeds:
            run = base.replace(**variant.changes)
            run = run.replace(training={"seed": seed})
            folder = _done(run, variant.prepare)
            summary = json.loads((folder / "summary.json").read_text())
            named = {"variant": variant.name, "paper": variant.paper}
            files = {"history": read_history(folder / "history.csv"), "folder": folder}
            rows.append({**summary, **named, **files})
    return rows


def count_images(run: Run) -> int:
    """How many training images a run has."""
    return len(data.load(run.data.dataset, "train", run.data.data_dir).images)


def report(
    name: str,
    title: str,
    args: argparse.Namespace,
    rows: list[dict],
    cited: Sequence[dict[str, str]] = (),
) -> None:
    """Prints the table of an experiment, and writes its numbers and how they came about.

    ``results/`` gets ``NAME.csv``, a row a run, and ``NAME.yaml``, what `experiments.report` says
    beside them.

    Args:
        name: Of the files.
        title: Of the experiment.
        args: Its options.
        rows: From `run_all`.
        cited: Lines of other people's numbers to set under ours, as for `table`.
    """
    path = HERE / "results" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    measured = [f"{c}{of}" for c in COLUMNS for of in ("", *(f"_{b}" for b in BASELINES))]
    columns = ["variant", "paper", "seed", "status", *(c for c in measured if c in rows[0])]
    columns += ["collapse", "steps", "seconds"]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**r, "collapse": "yes" if r["collapse"] else ""} for r in rows)
    configuration = base_run(args).to_dict()
    del configuration["data"]["data_dir"]  # of this machine
    about = {
        "title": title,
        "seeds": args.seeds,
        "versions": rows[0]["versions"],
        "minutes": round(sum(r["seconds"] for r in rows) / 60, 1),
        "cited": list(cited),
        "configuration": configuration,
    }
    path.with_suffix(".yaml").write_text(yaml.safe_dump(about, sort_keys=False, allow_unicode=True))
    print(f"\n{markdown(table(rows, cited))}\n\nwritten to {path}")


def read(path: pathlib.Path) -> list[dict]:
    """The rows of a results file, numbers as numbers."""
    with path.open(newline="") as file:
        return [{k: _number(v) for k, v in row.items()} for row in csv.DictReader(file)]


def table(rows: list[dict], cited: Sequence[dict[str, str]] = ()) -> list[list[str]]:
    """Means and ranges over the seeds: a line of heads, one a variant, the baselines last.

    Args:
        rows: From `run_all` or `read`.
        cited: Other people's numbers for a last line each, as text, by the names in `COLUMNS`,
            with ``variant`` and ``paper``.
    """
    shown = [c for c in COLUMNS if c in rows[0]]
    heads = ["variant", *(COLUMNS[c][0] for c in shown), "warned of collapse", "paper, ImageNet"]
    lines = [heads]
    for variant, group in grouped(rows):
        cells = [_mean_and_range([r[c] for r in group], c) for c in shown]
        warned = sum(bool(r["collapse"]) for r in group)
        diverged = sum(r["status"] == "diverged" for r in group)
        said = f"{warned} of {len(group)}" if warned else "silent"
        said += f", {diverged} diverged" if diverged else ""
        lines.append([variant, *cells, said, str(group[0]["paper"] or "-")])
    for key, label in BASELINES.items():
        of = {c: [r[f"{c}_{key}"] for r in rows] for c in shown if f"{c}_{key}" in rows[0]}
        cells = [_mean_and_range(of[c], c) if c in of else "" for c in shown]
        lines.append([f"*{label}*", *cells, "", ""])
    for line in cited:
        cells = [line.get(c, "") for c in shown]
        lines.append([f"*{line['variant']}*", *cells, "", line.get("paper", "")])
    return lines


def grouped(rows: list[dict]) -> Iterator[tuple[str, list[dict]]]:
    """Each variant with its rows, in order."""
    for name in dict.fromkeys(r["variant"] for r in rows):
        yield name, [r for r in rows if r["variant"] == name]


def _mean_and_range(values: list[float | None], column: str) -> str:
    known = [v for v in values if v is not None]
    if not known:
        return "-"
    form = COLUMNS[column][1]
    mean, low, high = (form.format(v) for v in (statistics.mean(known), min(known), max(known)))
    return mean if low == high else f"{mean} ({low} to {high})"


def _number(text: str) -> float | str | None:
    try:
        return float(text)
    except ValueError:
        return text or None


def _done(run: Run, prepare: Callable | None) -> pathlib.Path:
    """The folder of a run, which is trained where it has not been."""
    mark = prepare.__name__ if prepare else ""
    values = run.to_dict()
    values["data"].pop("data_dir")
    key = hashlib.sha256(json.dumps([values, mark], sort_keys=True).encode()).hexdigest()[:12]
    output = Output(key, str(RUNS), str(RUNS / "saved_models"), overwrite=True)
    folder = RUNS / key
    ended = folder / "summary.json"
    if not ended.exists() or json.loads(ended.read_text())["status"] == "interrupted":
        keras.backend.clear_session()
        try:
            if train(run, output, prepare)["status"] in ("interrupted", "preempted"):
                sys.exit("interrupted; start the same command again to go on")
        except TrainingDiverged as e:
            print(f"diverged: {e}")
    return folder
