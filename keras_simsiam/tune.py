"""Searches for the best settings: ``python -m keras_simsiam.tune SWEEP``."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import filelock
import yaml
from simple_parsing import flag

from keras_simsiam import options, tables
from keras_simsiam.config import Run, read_yaml
from keras_simsiam.errors import InputError, check_choice
from keras_simsiam.training.devices import Devices
from keras_simsiam.training.output import Output, RunFolder


@dataclass
class Search:
    """How to search."""

    tuner: str = "auto"
    """auto (grid where the space is small and discrete, else random), grid, random, hyperband or
    bayesian."""
    max_trials: int | None = None
    """Trials at most; all of a grid or of Hyperband, else 20, if not given."""
    name: str | None = None
    """Name of the sweep; SWEEP-DATASET if not given."""
    sweep_dir: str = "runs/sweeps"
    """Folder of sweeps; this one gets the folder NAME in it."""
    saved_model_dir: str = "saved_models"
    """Folder of exported models; the best gets the folder NAME in it."""
    overwrite: bool = flag(False, negative_prefix="--no-")
    """Delete a sweep of that name first; else the command goes on with it."""
    chief: str | None = None
    """HOST:PORT at which this process, which trains nothing, hands out trials to workers."""
    worker: str | None = None
    """HOST:PORT of the chief for which this process trains."""
    worker_name: str | None = None
    """Name of this worker, the same when it is started again; the host's if not given."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and searches; gives the exit code."""
    parser = options.Parser("tune", "Search for settings with Keras Tuner, by kNN accuracy.")
    parser.usage = "python -m keras_simsiam.tune SWEEP [options]"
    parser.add_argument(
        "sweep",
        metavar="SWEEP",
        help="predictor, batch_size, optimizer, augmentation, full, or a YAML file of your own",
    )
    parser.add_arguments(Search, dest="search")
    parser.add_arguments(Devices, dest="devices")
    run, parsed = options.parse_run(parser, argv)
    search: Search = parsed.search
    check_choice("tuner", search.tuner, ("auto", "grid", "random", "hyperband", "bayesian"))
    if search.max_trials is not None and search.max_trials < 1:
        raise InputError(f"max_trials {search.max_trials} is too small; the least is 1")
    _set_role(search)
    if parsed.devices.strategy == "multi_worker":
        raise InputError("a sweep over several machines is one with --chief and --worker")
    return _search(parsed.sweep, search, parsed.devices, run)


def _set_role(search: Search) -> None:
    """Sets the variables by which Keras Tuner knows chief and workers, where options ask for it."""
    if search.chief and search.worker:
        raise InputError("--chief and --worker exclude each other; give one of them")
    address = search.chief or search.worker
    if address is None:
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise InputError(f"'{address}' is no HOST:PORT, such as 10.0.0.1:8000")
    name = "chief" if search.chief else search.worker_name or os.uname().nodename
    if search.worker and "chief" in name:
        raise InputError(f"worker_name '{name}' has 'chief' in it, by which Keras Tuner knows one")
    os.environ["KERASTUNER_ORACLE_IP"] = host
    os.environ["KERASTUNER_ORACLE_PORT"] = port
    os.environ["KERASTUNER_TUNER_ID"] = name


def _search(sweep: str, search: Search, devices: Devices, run: Run) -> int:
    from keras_simsiam.tuning import results, sweeps  # bring TensorFlow, which takes seconds
    from keras_simsiam.tuning.space import Space
    from keras_simsiam.tuning.tuner import make_oracle, open_tuner

    devices.check_data_service()
    space = Space(sweeps.find(sweep), run)
    oracle, trials = make_oracle(
        search.tuner, space, search.max_trials, run.training.epochs, run.training.seed
    )
    label = f"{pathlib.Path(sweep).stem}-{run.data.dataset}"
    name = search.name or re.sub(r"[^\w.-]+", "-", label)
    folder = RunFolder(Output(name, search.sweep_dir, search.saved_model_dir), run.data.dataset)
    is_worker = "chief" not in os.environ.get("KERASTUNER_TUNER_ID", "chief")
    about = {"tuner": search.tuner, "sweep": space.spec}
    if not is_worker:
        _prepare(folder, run, about, search.overwrite)
    elif not (folder.path / "sweep.yaml").exists():
        raise InputError(
            f"'{folder.path}' is not there: start the chief first, with the same options, on a "
            "disk that all share"
        )
    print(
        f"sweep {sweep} on {run.data.dataset}: {trials} trials, by kNN top-1 accuracy, "
        f"seed {run.training.seed}\nwriting to {folder.path}\n",
        flush=True,
    )
    with contextlib.nullcontext() if is_worker else _alone(folder.path):
        tuner = open_tuner(oracle, space, folder.path, trials, devices, is_worker)
        tuner.search()
    if is_worker:
        print("no more trials; the chief has the results")
        return 0
    lines = results.write(space, folder.path, folder.saved_model, f"{sweep} on {run.data.dataset}")
    print(f"\n{tables.markdown(lines)}\n")
    return _conclude(folder, tuner.ledger)


@contextlib.contextmanager
def _alone(path: pathlib.Path) -> Iterator[None]:
    """Keeps other processes, but for workers, from running the sweep in a folder."""
    try:
        with filelock.FileLock(path / "sweep.lock", timeout=0):
            yield
    except filelock.Timeout:
        raise InputError(f"another process runs the sweep '{path}'") from None


def _prepare(folder: RunFolder, run: Run, about: dict, overwrite: bool) -> None:
    """Makes the sweep's folder, or checks that it is the same sweep that goes on."""
    from keras_simsiam.training.setup import load_inputs

    there = folder.path / "sweep.yaml"
    if there.exists() and not overwrite:
        folder.check_same(run)
        before, now = read_yaml(there), yaml.safe_load(yaml.safe_dump(about))
        for key in now:
            if before.get(key) != now[key]:
                raise InputError(
                    f"sweep '{folder.path}' can only go on as it was: its {key} is another; give "
                    "another --name, or --overwrite to delete it"
                )
        return
    # The sweep may change the batch size, which may not fit here.
    if load_inputs(run.replace(training={"batch_size": 2})).monitor is None:
        raise InputError(
            f"dataset '{run.data.dataset}' has no labelled training and test images, and a sweep "
            "is judged by kNN accuracy"
        )
    folder.check_free(overwrite)
    folder.create(run, {})
    there.write_text(yaml.safe_dump(about, sort_keys=False))


def _conclude(folder: RunFolder, ledger) -> int:
    """Says what was best and where it is; gives the exit code."""
    best, entries = ledger.best(), ledger.entries()
    if best is None:
        causes = {e.cause for e in entries}
        print(f"no trial of {len(entries)} succeeded: {'; '.join(sorted(causes))}")
        return 1
    print(
        f"best: trial {best.number + 1}, kNN top-1 {best.metrics['knn_top1']:.1%}\n"
        f"its settings  {folder.path / 'best.yaml'}   (train --config takes them)\n"
        f"its encoder   {folder.saved_model}\n"
        f"table, figure {folder.path / 'results.csv'}, {folder.path / 'results.png'}\n"
        f"TensorBoard   tensorboard --logdir {folder.path / 'runs'}"
    )
    return 0


if __name__ == "__main__":
    options.run_command(main)
