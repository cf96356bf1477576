"""The folder of a run, which never replaces anything but an earlier run."""

from __future__ import annotations

import pathlib
import re
import shutil

from keras_simsiam.config import Run
from keras_simsiam.documents import read_json
from keras_simsiam.errors import InputError
from keras_simsiam.files import write_json
from keras_simsiam.training.output import Output


class RunFolder:
    """The files of one run.

    Attributes:
        path: ``run_dir/name``.
        saved_model: ``saved_model_dir/name``.
        checkpoints: Folder of checkpoints.

    Args:
        output: Where to write.
        dataset: The default name.

    Raises:
        InputError: If the name cannot be that of a folder.
    """

    def __init__(self, output: Output, dataset: str):
        name = output.name or re.sub(r"[^\w.-]+", "-", dataset).strip("-.")
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise InputError(
                "--name must consist of letters, digits, '.', '_' and '-', and start with a letter "
                f"or digit; got '{name}'"
            )
        self.path = pathlib.Path(output.run_dir) / name
        self.saved_model = pathlib.Path(output.saved_model_dir) / name
        self.checkpoints = self.path / "checkpoints"

    def check_free(self, overwrite: bool) -> None:
        """Raises InputError if a new run would replace anything, or cannot be written.

        Args:
            overwrite: Whether it may replace an earlier run.
        """
        for folder, sign in ((self.path, "config.yaml"), (self.saved_model, "saved_model.pb")):
            if folder.parent.exists() and not folder.parent.is_dir():
                raise InputError(f"'{folder.parent}' must be a folder; it is a file")
            if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
                continue
            if not (folder / sign).exists():
                raise InputError(
                    f"'{folder}' exists and was not written by a run; choose another --name"
                )
            if not overwrite:
                raise InputError(
                    f"'{folder}' exists; choose another --name, --resume to continue that run, or "
                    "--overwrite to delete it"
                )

    def has_checkpoint(self) -> bool:
        """Whether there is any checkpoint, intact or not."""
        return any(self.checkpoints.glob("step-*.keras"))

    def check_resumable(self, run: Run) -> None:
        """Raises InputError if the folder has no unfinished run with the settings of `run`."""
        summary = self.path / "summary.json"
        if not (self.path / "config.yaml").exists() or not self.has_checkpoint():
            raise InputError(f"cannot resume: '{self.path}' has no checkpoint")
        if summary.exists() and read_json(summary).get("status") == "finished":
            raise InputError(f"cannot resume: run '{self.path}' is finished")
        self.check_same(run)

    def check_same(self, run: Run) -> None:
        """Raises InputError if the settings in the folder differ from those of `run`."""
        config = self.path / "config.yaml"
        before, now = Run.load(config).to_dict(), run.to_dict()
        # The images may have moved; a checkpoint knows them by what they are.
        moved = ["data_dir"]
        if all(s["data"]["dataset"].startswith("folder:") for s in (before, now)):
            moved.append("dataset")
        for section, values in before.items():
            for name, value in values.items():
                if name not in moved and now[section][name] != value:
                    raise InputError(
                        f"cannot resume: {name} was {value}, now {now[section][name]}; "
                        f"--config {config} restores the run's settings"
                    )

    def create(self, run: Run, baselines: dict) -> None:
        """Creates the folder with the run's settings and baselines, deleting an earlier run."""
        for earlier in (self.path, self.saved_model):
            shutil.rmtree(earlier, ignore_errors=True)
        self.path.mkdir(parents=True)
        run.save(self.path / "config.yaml")
        write_json(self.path / "baselines.json", baselines)

    def baselines(self) -> dict:
        """The baselines that `create` wrote."""
        return read_json(self.path / "baselines.json")
