"""What the experiments share: an ablation over seeds, its table, its numbers and its figure.

An experiment is an ablation of `keras_simsiam.tuning.sweeps` with the seed as one more parameter,
at one of two scales. Started again, it continues where it was; a run that another experiment has
trained already is taken from there.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence

from experiments import costs
from keras_simsiam import InputError, Run, documents, metrics, presets
from keras_simsiam.files import write_csv, write_json
from keras_simsiam.tables import markdown
from keras_simsiam.training.devices import Devices
from keras_simsiam.tuning import results, sweeps
from keras_simsiam.tuning.ledger import Entry
from keras_simsiam.tuning.results import Found, Line
from keras_simsiam.tuning.search import Search, run_sweep
from keras_simsiam.tuning.space import SEED

HERE = pathlib.Path(__file__).parent
RUNS = pathlib.Path("runs/experiments")

SMALL = {
    "model": {"width": 16},
    "training": {"epochs": 8, "batch_size": 64, "learning_rate": 0.5},
    "evaluation": {"knn_every": 2},
}
"""What 2 CPU cores finish in minutes, in place of the preset of the dataset."""

Figure = Callable[[Found, pathlib.Path, str], None]
"""Draws the results to a path with a title."""

Measure = Callable[[Found], None]
"""Adds further metrics to the trials."""


def parser(title: str) -> argparse.ArgumentParser:
    """A parser of the options that all experiments take."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--dataset", default="photo_patches")
    parser.add_argument("--data-dir")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="epochs of a run; by default those of --scale")
    parser.add_argument(
        "--trials",
        type=int,
        help="train only the first of the runs; the same command without it trains the others",
    )
    parser.add_argument(
        "--scale",
        choices=["small", "full"],
        default="small",
        help="small: what 2 CPU cores finish; full: the preset of the dataset, for a GPU",
    )
    parser.add_argument(
        "--preset", choices=list(presets.PRESETS), help="these settings in place of --scale"
    )
    parser.add_argument("--backbone", help="another backbone, such as resnet50")
    parser.add_argument("--width", type=int, help="other channels of a ResNet's first stage")
    parser.add_argument("--image-size", type=int, help="another side of the views in pixels")
    parser.add_argument(
        "--costs", action="store_true", help="measure time and memory of a step, too"
    )
    return parser


def base_run(args: argparse.Namespace) -> Run:
    """The run whose settings an ablation changes."""
    if args.preset is not None:
        run = presets.preset(args.preset)
    else:
        run = presets.preset(presets.default_preset(args.dataset))
        run = run.replace(**(SMALL if args.scale == "small" else {}))
    data = {"dataset": args.dataset, "data_dir": args.data_dir, "image_size": args.image_size}
    model = {"backbone": args.backbone, "width": args.width}
    changes = {"data": data, "model": model, "training": {"epochs": args.epochs}}
    return run.replace(
        **{
            section: {name: value for name, value in values.items() if value is not None}
            for section, values in changes.items()
        }
    )


def compare(
    sweep: str,
    title: str,
    argv: Sequence[str] | None = None,
    figure: Figure = results.draw,
    cited: Sequence[dict[str, str]] = (),
    measure: Sequence[Measure] = (),
    epochs: Mapping[str, int] | None = None,
) -> int:
    """A whole experiment: trains what is left to train, writes the table and the figure.

    Args:
        sweep: A key of `sweeps.ABLATIONS`.
        title: Of the experiment.
        argv: Its options.
        figure: Draws the figure.
        cited: Other people's numbers; see `results.table`.
        measure: What adds further metrics to the trials, such as `linear.add`.
        epochs: Epochs of a run at each scale, in place of the scale's own.

    Returns:
        The exit code.
    """
    args = parser(title).parse_args(argv)
    if epochs is not None:
        args.epochs = args.epochs or epochs[args.scale]
    return run(sweep, title, args, figure, cited, measure)


def run(
    sweep: str,
    title: str,
    args: argparse.Namespace,
    figure: Figure = results.draw,
    cited: Sequence[dict[str, str]] = (),
    measure: Sequence[Measure] = (),
    spec: dict | None = None,
) -> int:
    """What `compare` does, for options that have been parsed.

    Args:
        sweep: Name of the experiment.
        title: Of the experiment.
        args: Its options.
        figure: Draws the figure.
        cited: Other people's numbers; see `results.table`.
        measure: What adds further metrics to the trials, such as `linear.add`.
        spec: What is varied, if not the ablation of that name.

    Returns:
        The exit code.
    """
    found = search(sweep, args, spec)
    for add in [*measure, *([costs.add] if args.costs else [])]:
        add(found)
    publish(sweep, title, args, found, cited)
    seeds = "1 seed" if len(args.seeds) == 1 else f"{len(args.seeds)} seeds"
    figure(found, figure_path(sweep, args), f"{args.dataset}, {seeds}")
    return 0


def search(sweep: str, args: argparse.Namespace, spec: dict | None = None) -> Found:
    """Runs an ablation with every seed, in a folder of its own for each combination of options.

    Args:
        sweep: Name of the experiment.
        args: Its options.
        spec: What is varied, if not the ablation of that name.
    """
    base = base_run(args)
    values = {**_portable(base), "seeds": args.seeds, **({"sweep": spec} if spec else {})}
    key = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
    options = Search(
        tuner="grid",
        seeds=args.seeds,
        max_trials=args.trials,
        name=f"{sweep}-{key}",
        sweep_dir=str(RUNS),
        saved_model_dir=str(RUNS / "saved_models"),
    )
    spec = spec or sweeps.find(sweep, base, sweeps.ABLATIONS)
    others = [path for path in sorted(RUNS.glob("*")) if path.name != options.name]
    found = run_sweep(sweep, spec, base, options, Devices(), others)
    assert found is not None  # only workers find nothing
    return found


def add_to_trials(found: Found, name: str, measure: Callable[[Entry], dict[str, float]]) -> None:
    """Adds further metrics to all trials that have a result; each is measured once.

    Args:
        found: From `search`.
        name: Of the file in a trial's folder in which they are kept.
        measure: The metrics of a trial.
    """
    for line in found.lines:
        for entry in line.entries:
            if entry.failed:
                continue
            kept = found.run_folder(entry) / f"{name}.json"
            if not kept.exists():
                write_json(kept, measure(entry))
            entry.metrics.update(documents.read_json(kept))


def publish(
    name: str,
    title: str,
    args: argparse.Namespace,
    found: Found,
    cited: Sequence[dict[str, str]] = (),
) -> None:
    """Prints the table of an experiment, and writes its numbers and how they came about.

    ``results/`` gets ``NAME_DATASET.csv``, a row for each run, and ``NAME_DATASET.yaml``, what
    `experiments.report` says about them. The names of both also have the preset, the backbone, the
    width and the image size that were asked for.

    Args:
        name: Of the files.
        title: Of the experiment.
        args: Its options.
        found: From `search`.
        cited: Other people's numbers; see `results.table`.
    """
    path = HERE / "results" / f"{_file_name(name, args)}.csv"
    rows, runs = [], []
    for line in found.lines:
        for entry in line.entries:
            summary = found.run_folder(entry) / "summary.json"
            runs.append(documents.read_json(summary) if summary.exists() else {})
            row = {"variant": line.label, "paper": line.paper, "seed": entry.values[SEED]}
            row |= {"status": entry.status, "collapse": "yes" if entry.warned else ""}
            rows.append({**row, "steps": runs[-1].get("steps"), **entry.metrics})
    measured = [
        key
        for key in metrics.with_baselines(metrics.table_columns(rows))
        if key != "seconds" and any(key in row for row in rows)
    ]
    columns = ["variant", "paper", "seed", "status", *measured, "collapse", "steps", "seconds"]
    write_csv(path, columns, ([row.get(c) for c in columns] for row in rows))
    about = {
        "title": title,
        "seeds": args.seeds,
        "versions": next((run["versions"] for run in runs if "versions" in run), {}),
        "processor": ", ".join(sorted({run["processor"] for run in runs if "processor" in run})),
        "minutes": round(sum(row.get("seconds", 0.0) for row in rows) / 60, 1),
        "cited": list(cited),
        "configuration": _portable(base_run(args)),
    }
    documents.write_yaml(path.with_suffix(".yaml"), about)
    print(f"\n{markdown(table(found.lines, cited))}\n\nwritten to {path}")


def read(path: pathlib.Path) -> list[Line]:
    """The lines of a results file.

    Raises:
        InputError: If it is not one that `publish` writes.
    """
    lines: dict[str, Line] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.DictReader(file, strict=True)):
                name, paper = row.pop("variant"), row.pop("paper")
                status, warned = row.pop("status"), row.pop("collapse")
                values = {SEED: int(row.pop("seed"))}
                numbers = {key: float(value) if value else None for key, value in row.items()}
                line = lines.setdefault(name, Line(name, {"variant": name}, [], paper))
                line.entries.append(Entry(number, values, status, warned, metrics=numbers))
    except (KeyError, TypeError, ValueError, csv.Error) as e:
        raise InputError(f"'{path}' is not a table of results: {type(e).__name__}: {e}") from e
    return list(lines.values())


def table(lines: Sequence[Line], cited: Sequence[dict[str, str]] = ()) -> list[list[str]]:
    """The table of an experiment; see `results.table`."""
    return results.table(lines, [{"variant": line.label} for line in lines], cited)


def figure_path(name: str, args: argparse.Namespace) -> pathlib.Path:
    """Where the figure of an experiment is written."""
    return HERE / "figures" / f"{_file_name(name, args)}.png"


def _file_name(name: str, args: argparse.Namespace) -> str:
    asked = (args.preset, args.backbone, args.width, args.image_size)
    return "_".join([name, args.dataset, *(str(value) for value in asked if value is not None)])


def _portable(run: Run) -> dict:
    """A run's settings without the folder of its images, which differs between machines."""
    configuration = run.to_dict()
    del configuration["data"]["data_dir"]
    return configuration
