"""What a training run is: a tree of frozen dataclasses, read from and written to YAML.

This module does not import TensorFlow, so that `--help` and a mistyped option answer at once. The
choices of a setting are listed with it and nowhere else: the tables of optimizers, similarities and
so on take their keys from here. The network's settings are in `keras_simsiam.model_settings`.
"""

from __future__ import annotations

import dataclasses
import pathlib
from dataclasses import dataclass, field
from typing import Any, Literal

from keras_simsiam import datasets, documents
from keras_simsiam.augmentation import Augmentation
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Settings, checks_arguments, setting, switch
from keras_simsiam.model_settings import Model
from keras_simsiam.pixels import Pixels
from keras_simsiam.probes import KNN

AugmentOn = Literal["host", "device"]
CheckFiles = Literal["full", "header", "none"]
Optimizer = Literal["sgd", "sgdw", "lamb", "lars", "adam"]
Schedule = Literal["cosine", "constant"]


@dataclass(frozen=True)
class Data(Settings):
    """Where the images come from."""

    dataset: str = setting("photo_patches", help=f"{', '.join(datasets.DATASETS)}")
    """Name of the dataset, see `keras_simsiam.datasets`."""
    data_dir: str | None = None
    """For tiny_imagenet its zip or extracted folder; for cifar10 and the others from TensorFlow
    Datasets, the folder where that keeps its data."""
    image_size: int | None = setting(None, at_least=8)
    """Side of the views in pixels; by default that of the images if they all have one size of at
    most 256 pixels, else 224."""
    augment_on: AugmentOn = "host"
    """Where the pixels of the views are computed: in tf.data on the host, or in the training step
    on the device."""
    check_files: CheckFiles = "full"
    """What is read of each file of a folder:PATH before the training, if it has changed since it
    was last read: all of it (full), its size in pixels (header), or nothing (none). Damaged files
    that are not found then are left out when they are used. Only after a full check are images held
    in memory."""
    channels: int = setting(3, at_least=1, at_most=256)
    """Channels of the images of a folder:PATH. With 3, gray images become RGB; with 1, RGB images
    become gray; any other number is for TIFF and .npy files that have it."""
    pixel_range: tuple[float, float] | None = None
    """Values in files of more than 8 bits that become 0 and 255; by default the percentiles 0.1
    and 99.9 of a sample of the training images."""

    def __post_init__(self) -> None:
        super().__post_init__()
        source, _ = datasets.find(self.dataset)
        if not source.from_files and (self.channels != 3 or self.pixel_range is not None):
            raise InputError(
                "channels and pixel_range are options of folder:PATH and records:PATH; "
                f"got {self.channels} with the dataset {self.dataset}"
            )
        _ = self.pixels  # which checks the range

    @property
    def pixels(self) -> Pixels:
        """How values in files become uint8; the range is to be measured if none is given."""
        return Pixels.of(self.channels, self.pixel_range)


@dataclass(frozen=True)
class Training(Settings):
    """How it is trained (paper, Section 4 'Experimental setup')."""

    epochs: int = setting(100, at_least=1)
    """Number of epochs. An incomplete last batch is completed with images of the next epoch."""
    batch_size: int = setting(256, at_least=2)
    """Images per step, over all devices; BatchNorm needs at least 2."""
    accumulate: int = setting(1, at_least=1)
    """Compute the gradients of a step in this many parts of its batch, one after another, which
    saves memory: 4 with a batch_size of 1024 needs that of 256. batch_size and learning rate remain
    those of the step. Losses that do not compare images give the gradient of the whole batch, but
    BatchNorm, negatives, codes and covariances see one part."""
    optimizer: Optimizer = "sgd"
    """sgd is the paper's; sgdw and adam decouple the weight decay; lamb and lars are for large
    batches. Each needs its own learning rate."""
    learning_rate: float = setting(0.05, at_least=0)
    """Learning rate for a batch of 256; the rate used is this times batch_size / 256."""
    schedule: Schedule = "cosine"
    """Schedule of the learning rate of backbone and projector."""
    momentum: float = setting(0.9, at_least=0, below=1)
    """Momentum; beta_1 of LAMB and Adam."""
    weight_decay: float = setting(1e-4, at_least=0)
    """Weight decay, applied to every weight."""
    warmup_epochs: int = setting(0, at_least=0)
    """Epochs of linear warm-up; the paper uses 10 for batches of 1024 and more."""
    predictor_decay: bool = switch(False)
    """Let the predictor's learning rate follow the schedule, too; by default it is constant (paper,
    Table 1)."""
    zero_gradients: bool = switch(True)
    """Start each step from zero gradients; if not, gradients add up over all steps, as in the
    code of the report that this project reproduces."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Keras dtype policy; weights, loss and exported features are always float32."""
    deterministic: bool = switch(False)
    """Make every operation deterministic, so that runs repeat bit for bit; slower."""
    jit_compile: bool = switch(False)
    """Compile the training step with XLA; worth trying on a GPU."""
    stop_on_collapse: bool = switch(False)
    """End the run when the representations collapse; by default it only warns."""
    seed: int = setting(0, at_least=0, below=2**31)
    """Seed of the initial weights, the order of the images and the views."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_epochs >= self.epochs:
            raise InputError(
                f"warmup_epochs must be below epochs, which is {self.epochs}; "
                f"got {self.warmup_epochs}"
            )
        if self.batch_size % self.accumulate or self.batch_size < 2 * self.accumulate:
            raise InputError(
                f"batch_size must be a multiple of accumulate, {self.accumulate}, and at least "
                f"twice that; got {self.batch_size}"
            )


@dataclass(frozen=True)
class Evaluation(KNN):
    """kNN evaluation during training and at its end (paper, Section 4.1)."""

    knn_every: int = setting(5, at_least=0)
    """Epochs between kNN evaluations; 0 to evaluate only at the end."""


@dataclass(frozen=True)
class Run(Settings):
    """Everything that defines a training run. It is frozen; `replace` gives a changed copy::

    run = preset("photo_patches").replace(training={"epochs": 3})
    """

    data: Data = field(default_factory=Data)
    augmentation: Augmentation = field(default_factory=Augmentation)
    model: Model = field(default_factory=Model)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        super().__post_init__()
        queue, keys = self.model.queue, 2 * self.training.batch_size
        if queue is not None and queue < keys:
            raise InputError(
                f"queue must be at least {keys}, two keys for each image of a batch; got {queue}"
            )

    def replace(self, /, **sections: Any) -> Run:
        """A checked copy with some settings changed.

        Args:
            **sections: For each section to change, a mapping from settings to values or a whole
                section.

        Raises:
            InputError: If there is no such section or setting, or a value does not fit.
        """
        changed = {}
        for name, values in sections.items():
            section = getattr(self, name, None)
            if isinstance(values, dict) and isinstance(section, Settings):
                values = section.replace(**{str(key): value for key, value in values.items()})
            changed[name] = values
        return super().replace(**changed)

    def to_dict(self) -> dict:
        """Nested dicts and lists, as in the YAML file."""
        return documents.plain(dataclasses.asdict(self))

    @checks_arguments
    def save(self, path: str | pathlib.Path) -> None:
        """Writes the run as YAML."""
        documents.write_yaml(path, self.to_dict())

    @classmethod
    @checks_arguments
    def load(cls, path: str | pathlib.Path, base: Run | None = None) -> Run:
        """Reads a run from YAML. Settings that the file leaves out are those of `base`.

        Raises:
            InputError: If the file cannot be read, or its settings do not fit.
        """
        values = documents.read_yaml(path)
        with documents.named(path):
            return (base or cls()).replace(**values)
