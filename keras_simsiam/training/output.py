"""Where a run writes, and what happens to a run that is there already."""

from __future__ import annotations

import csv
import itertools
import json
import os
import pathlib
import re
import shutil
from dataclasses import dataclass

import numpy as np
from simple_parsing import flag

from keras_simsiam.config import Run
from keras_simsiam.errors import InputError


@dataclass
class Output:
    """What comes out of a run."""

    name: str | None = None
    """Name of the run; the dataset's if not given."""
    run_dir: str = "runs"
    """Folder of runs; this one gets the folder NAME in it."""
    saved_model_dir: str = "saved_models"
    """Folder of exported models; this one gets the folder NAME in it."""
    overwrite: bool = flag(False, negative_prefix="--no-")
    """Delete a run of that name first."""
    resume: bool = flag(False, negative_prefix="--no-")
    """Go on with the run of that name where its last checkpoint is."""
    checkpoint_every: float = 10.0
    """Minutes after which a checkpoint is written within an epoch, too; 0 for never."""
    keep_checkpoints: int = 3
    """Checkpoints that are kept, besides that of the highest kNN accuracy."""

    def __post_init__(self):
        if not self.checkpoint_every >= 0:
            raise InputError(f"checkpoint_every {self.checkpoint_every} is negative")
        if self.keep_checkpoints < 1:
            raise InputError(
                f"keep_checkpoints {self.keep_checkpoints} is too small; the least is 1"
            )


def write_json(path: pathlib.Path, values: dict) -> None:
    """Writes a JSON file aside and renames it into its place."""
    aside = path.with_name(f"{path.name}.partial")
    aside.write_text(json.dumps(values, indent=2) + "\n")
    os.replace(aside, path)


class RunFolder:
    """The files of one run.

    Attributes:
        path: ``run_dir/name``.
        saved_model: ``saved_model_dir/name``.
        checkpoints: Folder of checkpoints.

    Args:
        output: Where the user wants it.
        dataset: Gives the name where there is none.

    Raises:
        InputError: If the name cannot be that of a folder.
    """

    def __init__(self, output: Output, dataset: str):
        name = output.name or re.sub(r"[^\w.-]+", "-", dataset).strip("-.")
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise InputError(
                f"name '{name}' cannot be a folder's: use letters, digits, '.', '_' and '-', "
                "a letter or digit first"
            )
        self.path = pathlib.Path(output.run_dir) / name
        self.saved_model = pathlib.Path(output.saved_model_dir) / name
        self.checkpoints = self.path / "checkpoints"

    def check_free(self, overwrite: bool) -> None:
        """Raises InputError where a new run would destroy something, or cannot be written."""
        for folder, sign in ((self.path, "config.yaml"), (self.saved_model, "saved_model.pb")):
            if folder.parent.exists() and not folder.parent.is_dir():
                raise InputError(f"'{folder.parent}' is a file; a folder is needed there")
            if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
                continue
            if not (folder / sign).exists():
                raise InputError(
                    f"'{folder}' exists already and was not written by a run; give another --name"
                )
            if not overwrite:
                raise InputError(
                    f"'{folder}' exists already; give another --name, or --resume to go on with "
                    "that run, or --overwrite to delete it"
                )

    def has_checkpoint(self) -> bool:
        """Whether there is any; `checkpoints.latest` finds the last that is whole."""
        return any(self.checkpoints.glob("step-*.keras"))

    def check_resumable(self, run: Run) -> None:
        """Raises InputError where there is nothing to go on with, or it was another run."""
        config, summary = self.path / "config.yaml", self.path / "summary.json"
        if not config.exists() or not self.has_checkpoint():
            raise InputError(f"run '{self.path}' cannot be resumed: it has no checkpoint")
        if summary.exists() and json.loads(summary.read_text())["status"] == "finished":
            raise InputError(f"run '{self.path}' has finished already; there is nothing to resume")
        self.check_same(run)

    def check_same(self, run: Run) -> None:
        """Raises InputError where the folder's configuration is another, naming the difference."""
        config = self.path / "config.yaml"
        there, here = Run.load(config).to_dict(), run.to_dict()
        for section, values in there.items():
            for name, value in values.items():
                # The images may have moved.
                if name != "data_dir" and here[section][name] != value:
                    raise InputError(
                        f"run '{self.path}' can only go on as it was: {name} is {value} there and "
                        f"{here[section][name]} here; --config {config} takes all its settings"
                    )

    def create(self, run: Run, baselines: dict) -> None:
        """Makes the folder anew, with the configuration and the baselines in it."""
        for old in (self.path, self.saved_model):
            shutil.rmtree(old, ignore_errors=True)
        self.path.mkdir(parents=True)
        run.save(self.path / "config.yaml")
        self.write_json("baselines.json", baselines)

    def baselines(self) -> dict:
        """The baselines that `create` wrote."""
        return json.loads((self.path / "baselines.json").read_text())

    def write_json(self, name: str, values: dict) -> None:
        """Writes one of the folder's JSON files."""
        write_json(self.path / name, values)

    def write_spectrum(self, spectra: dict[str, np.ndarray]) -> None:
        """Writes singular values, a column a part, as spectrum.csv."""
        with (self.path / "spectrum.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["index", *spectra])
            columns = itertools.zip_longest(*spectra.values(), fillvalue="")
            writer.writerows([i, *values] for i, values in enumerate(columns, start=1))
