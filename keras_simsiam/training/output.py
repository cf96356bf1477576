"""Where a run writes its files."""

from __future__ import annotations

from dataclasses import dataclass

from keras_simsiam.errors import InputError
from keras_simsiam.fields import Settings, setting, switch

RESUME = "the same command with --resume continues"
"""What is said of a run that was interrupted."""


@dataclass(frozen=True)
class Output(Settings):
    """Where a run writes."""

    name: str | None = None
    """Name of the run; by default, the dataset's."""
    run_dir: str = "runs"
    """Folder of runs; the run is written to RUN_DIR/NAME."""
    saved_model_dir: str = "saved_models"
    """Folder of exported encoders; the encoder is written to SAVED_MODEL_DIR/NAME."""
    overwrite: bool = switch(False)
    """Delete an existing run of the same name first."""
    resume: bool = switch(False)
    """Continue the run of the same name from its last checkpoint."""
    checkpoint_every: float = setting(10.0, at_least=0)
    """Minutes between checkpoints within an epoch; 0 for checkpoints only at the end of epochs."""
    callback: list[str] = setting([], action="append", nargs=None, metavar="MODULE:FUNCTION")
    """A function of yours that returns a Keras callback, such as wandb's, to log elsewhere. It gets
    the run's settings if it takes an argument; the module may be in the current folder. The option
    can be repeated."""
    keep_checkpoints: int = setting(3, at_least=1)
    """Number of checkpoints to keep, besides the one with the highest kNN accuracy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.overwrite and self.resume:
            raise InputError("--overwrite and --resume exclude each other")
