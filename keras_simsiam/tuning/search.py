"""A sweep from its options to its results, in one process or in several."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from keras_simsiam.config import Run
from keras_simsiam.errors import InputError, Terminated, is_address
from keras_simsiam.fields import Settings, setting, switch
from keras_simsiam.files import claimed
from keras_simsiam.training.devices import Devices
from keras_simsiam.training.folder import derived_name
from keras_simsiam.training.output import Output
from keras_simsiam.tuning.folder import SweepFolder
from keras_simsiam.tuning.space import Space

if TYPE_CHECKING:
    from keras_simsiam.tuning.results import Found


@dataclass(frozen=True)
class Search(Settings):
    """How to search."""

    tuner: Literal["auto", "grid", "random", "hyperband", "bayesian"] = "auto"
    """How values are chosen; auto is grid for a small discrete space or with --seeds, else
    random."""
    max_trials: int | None = setting(None, at_least=1)
    """Trials at most; by default all of a grid or of Hyperband, else 20."""
    seeds: list[int] = setting([], at_least=0, below=2**31, metavar="SEED")
    """Train every combination of a grid with each of these seeds; results are means over them."""
    name: str | None = None
    """Name of the sweep; by default SWEEP-DATASET."""
    sweep_dir: str = "runs/sweeps"
    """Folder of sweeps; this one is written to its subfolder NAME."""
    saved_model_dir: str = "saved_models"
    """Folder of exported models; the best is written to its subfolder NAME."""
    overwrite: bool = switch(False)
    """Delete an existing sweep of that name; by default the command continues it."""
    chief: str | None = None
    """HOST:PORT where this process, which trains nothing, hands out trials to workers."""
    worker: str | None = None
    """HOST:PORT of the chief whose trials this process trains."""
    worker_name: str | None = None
    """Name of this worker, the same each time it is started; by default the host's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seeds and self.tuner not in ("auto", "grid"):
            raise InputError(f"seeds need tuner grid; got {self.tuner}")
        if self.chief and self.worker:
            raise InputError("only one of --chief and --worker can be given")
        address = self.chief or self.worker
        if address is not None and not is_address(address):
            raise InputError(
                f"{'chief' if self.chief else 'worker'} must be HOST:PORT, such as "
                f"10.0.0.1:8000; got '{address}'"
            )
        if self.worker and "chief" in self.worker_name_or_host:
            # By which Keras Tuner recognizes a chief.
            raise InputError(
                f"worker_name must not contain 'chief'; got '{self.worker_name_or_host}'"
            )

    @property
    def worker_name_or_host(self) -> str:
        """The name of this process as a worker."""
        return self.worker_name or os.uname().nodename

    def set_role(self) -> None:
        """Makes this process chief or worker, through Keras Tuner's environment variables."""
        address = self.chief or self.worker
        if address is not None:
            host, _, port = address.rpartition(":")
            os.environ["KERASTUNER_ORACLE_IP"] = host
            os.environ["KERASTUNER_ORACLE_PORT"] = port
            name = "chief" if self.chief else self.worker_name_or_host
            os.environ["KERASTUNER_TUNER_ID"] = name
        names = [f"KERASTUNER_{name}" for name in ("ORACLE_IP", "ORACLE_PORT", "TUNER_ID")]
        given = [name for name in names if os.environ.get(name)]
        if given and given != names:
            raise InputError(
                f"{', '.join(names)} must be set together; got only {', '.join(given)}"
            )


def run_sweep(
    title: str,
    spec: dict,
    run: Run,
    search: Search,
    devices: Devices,
    others: Sequence[pathlib.Path] = (),
) -> Found | None:
    """Runs a sweep, or continues it, and writes its results.

    Args:
        title: Its name, or the path of its file.
        spec: What it varies; see `keras_simsiam.tuning.parameter`.
        run: The run whose settings it changes.
        search: How to search, and where to write.
        devices: What each trial is trained on.
        others: Folders of sweeps whose runs need not be trained again.

    Returns:
        What it found; None in a worker, whose chief has the results.

    Raises:
        InputError: If something does not fit. Nothing has been written then.
        CannotWrite: If the disk is full or read-only.
        LostWorker: If the chief of this worker is gone.
        Terminated: If a signal ended the sweep; it is a KeyboardInterrupt.
    """
    from keras_simsiam.tuning import results  # TensorFlow takes seconds to import
    from keras_simsiam.tuning.oracles import make_oracle
    from keras_simsiam.tuning.tuner import SweepTuner, writing

    search.set_role()
    if devices.strategy == "multi_worker":
        raise InputError("a sweep uses several machines with --chief and --worker, not --strategy")
    devices.check_data_service()
    space = Space(spec, run, search.seeds)
    oracle, trials = make_oracle(search, space)
    label = f"{pathlib.Path(title).stem}-{run.data.dataset}"
    name = search.name or derived_name(label)
    folder = SweepFolder(Output(name, search.sweep_dir, search.saved_model_dir), run.data.dataset)
    is_worker = "chief" not in os.environ.get("KERASTUNER_TUNER_ID", "chief")
    seeds = search.seeds or [run.training.seed]
    held = contextlib.nullcontext() if is_worker else claimed(folder.path)
    with writing(folder.path), held, _goes_on(search.overwrite):
        if is_worker:
            folder.join(run, {"sweep": space.spec})
        else:
            folder.prepare(run, {"tuner": search.tuner, "sweep": space.spec}, search.overwrite)
        print(
            f"sweep {title} on {run.data.dataset}: {trials} trials, by kNN top-1 accuracy, "
            f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}\n"
            f"writing to {folder.path}\n",
            flush=True,
        )
        SweepTuner(oracle, space, folder.path, trials, devices, others).search()
        if is_worker:
            return None
        title = f"{title} on {run.data.dataset}"
        return results.write(space, folder.path, folder.saved_model, title)


@contextlib.contextmanager
def _goes_on(overwrite: bool) -> Iterator[None]:
    """Says after a signal within the block that the same command continues."""
    command = "the same command without --overwrite" if overwrite else "the same command"
    try:
        yield
    except KeyboardInterrupt as e:
        raise Terminated.of(e, f"{command} continues") from e
