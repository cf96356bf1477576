"""What a training run is: a tree of frozen dataclasses, read from and written to YAML.

This module does not import TensorFlow, so that `--help` and a mistyped option answer at once. The
choices of a setting are listed here and nowhere else: the tables of backbones, similarities and so
on take their keys from here.
"""

from __future__ import annotations

import dataclasses
import pathlib
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from keras_simsiam import datasets, documents, method_options
from keras_simsiam.augmentation import Augmentation
from keras_simsiam.backbone_rules import BackboneRule
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Settings, by_method, checks_arguments, setting, switch
from keras_simsiam.pixels import Pixels
from keras_simsiam.probes import KNN
from keras_simsiam.target_rules import TargetRule
from keras_simsiam.view_rules import SmallViews, count_views

AugmentOn = Literal["host", "device"]
CheckFiles = Literal["full", "header", "none"]
Stem = Literal["imagenet", "cifar"]
Similarity = Literal["cosine", "cross_entropy"]
Symmetry = Literal["symmetric", "asymmetric", "two_pairs", "fastsiam"]
Optimizer = Literal["sgd", "sgdw", "lamb", "lars", "adam"]
Schedule = Literal["cosine", "constant"]
Method = Literal["simsiam", "byol", "simclr", "moco", "swav", "barlow_twins", "vicreg"]


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
                f"channels and pixel_range are options of folder:PATH; got {self.channels} with "
                f"the dataset {self.dataset}"
            )
        _ = self.pixels  # which checks the range

    @property
    def pixels(self) -> Pixels:
        """How values in files become uint8; the range is to be measured if none is given."""
        return Pixels.of(self.channels, self.pixel_range)


@dataclass(frozen=True)
class Model(Settings):
    """The network (paper, Section 3)."""

    method: Method = "simsiam"
    """The self-supervised method. Options that only other methods have are refused."""
    backbone: str = "resnet18"
    """The backbone: resnet18, resnet34, resnet50; keras:NAME for a model of keras.applications,
    such as keras:EfficientNetV2B0, with its own mean and std; FILE.keras; or MODULE:FUNCTION for a
    function of yours that returns a keras.Model, which may be in the current folder."""
    backbone_weights: str | None = None
    """Weights that the backbone starts from: imagenet for those of keras.applications, or a file
    that Keras's save_weights wrote; by default random ones, or those in FILE.keras."""
    width: int = setting(64, at_least=1)
    """Channels of a ResNet's first stage: 64 for the standard network, 16 for a narrow one that
    trains quickly on a CPU."""
    stem: Stem = "imagenet"
    """First layers of a ResNet: a 7x7 convolution of stride 2 and max-pooling (imagenet), or a 3x3
    convolution of stride 1 (cifar)."""
    projector_layers: int = setting(3, at_least=1)
    """Layers of the projection MLP; the paper uses 2 for CIFAR."""
    projector_hidden: int | None = setting(None, at_least=1)
    """Hidden width of the projector; by default that of the backbone's features."""
    projector_dim: int = setting(2048, at_least=2)
    """Dimension of z and p."""
    predictor_hidden: int | None = setting(None, at_least=1)
    """Hidden width of the predictor; by default projector_dim / 4."""
    predictor_layers: int = setting(2, at_least=1)
    """Layers of the prediction MLP."""
    batch_norm: Literal["default", "hidden", "all", "none"] = "default"
    """Where the heads have BatchNorm: everywhere but on the predictor's output (default), on hidden
    layers, everywhere, or nowhere (paper, Table 3)."""
    predictor: Literal["mlp", "fixed", "none"] = by_method()
    """The predictor: trained (mlp), fixed at its random initialization, or none (paper, Table
    1)."""
    stop_gradient: bool = by_method(switch=True)
    """Stop the gradient at z; without it, SimSiam collapses (paper, Section 4.1)."""
    similarity: Similarity = by_method()
    """What the loss measures between p and z (paper, Section 4.5)."""
    symmetry: Symmetry = by_method()
    """Which view predicts which (paper, Section 4.6). With fastsiam, each of several views predicts
    the mean of the others (FastSiam)."""
    views: int | None = by_method(at_least=2)
    """Views of each image for --symmetry fastsiam, by default 4. A step makes a pass over each, so
    4 views take twice as long as the 2 of the symmetric loss."""
    small_views: int = by_method(at_least=0)
    """Small views of each image in addition to the two large ones (multi-crop; SwAV, Section 3.2,
    with --crop-area 0.14 1 for these). A step makes a pass over each, which takes (small_size /
    image_size)² times the work of a large view."""
    small_size: int | None = by_method(at_least=8)
    """Side of the small views in pixels; by default 96/224 of the image size, as in SwAV."""
    small_area: tuple[float, float] | None = by_method(at_least=0, at_most=1, ascending=True)
    """Smallest and largest area of the crop for a small view, as a share of the image's; by default
    0.05 and 0.14."""
    target: str = by_method()
    """The network that makes the target: the trained one (self), one that follows it with a
    constant momentum (momentum:0.99) or a momentum that rises to 1 (cosine:0.996), or a copy that
    is renewed every few steps (every:10; paper, Section 5.2). With images:0.8, the target is an
    average of each image's own z (Section 5.2), which takes 4 x images x projector_dim bytes."""
    temperature: float = by_method(above=0)
    """Temperature of the softmax over keys or prototypes."""
    negatives: Literal["both_views", "other_view", "none"] = by_method()
    """The negatives of a view in SimCLR: both views of the other images, only their other view, or
    none. Without negatives, but with predictor and stop-gradient, SimCLR is SimSiam."""
    queue: int = by_method(at_least=4)
    """Keys in MoCo's queue, its negatives, at least two per image of a batch."""
    prototypes: int = by_method(at_least=2)
    """Prototypes of SwAV."""
    epsilon: float = by_method(above=0)
    """Smoothness of SwAV's codes."""
    sinkhorn_iterations: int = by_method(at_least=1)
    """Iterations of the Sinkhorn-Knopp algorithm for SwAV's codes."""
    freeze_prototypes: float = by_method(at_least=0)
    """Epochs at the beginning in which SwAV's prototypes are not trained."""
    off_diagonal: float = by_method(at_least=0)
    """Weight of the off-diagonal terms in the loss of Barlow Twins."""
    invariance: float = by_method(at_least=0)
    """Weight of the invariance term in the loss of VICReg."""
    variance: float = by_method(at_least=0)
    """Weight of the variance term in the loss of VICReg."""
    covariance: float = by_method(at_least=0)
    """Weight of the covariance term in the loss of VICReg."""
    pytorch_weights: str | None = None
    """PyTorch checkpoint to start from: a whole SimSiam with networks of the same sizes, or a
    backbone."""

    start_from: str | None = setting(None, alias="--from", metavar="RUN")
    """Start from the weights of another run: its name or folder, its SavedModel, a .keras file, or
    an .h5 file of the backbone's weights. The backbone must be the same; projector, predictor and
    so on are taken where they have the same shapes. To continue a run, use --resume."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start_from is not None and self.pytorch_weights is not None:
            raise InputError("start_from and pytorch_weights exclude each other")
        weights = self.backbone_weights
        BackboneRule.parse(self.backbone).check_weights(weights)
        if weights is not None and self.pytorch_weights is not None:
            raise InputError("backbone_weights and pytorch_weights exclude each other")
        given = {name: getattr(self, name) for name in method_options.names()}
        for name, value in method_options.resolved(self.method, given).items():
            object.__setattr__(self, name, value)
        if self.target is not None:
            TargetRule.parse(self.target, self.stop_gradient)
        count_views(self.symmetry, self.views, self.small_views)
        for name in ("small_size", "small_area"):
            if getattr(self, name) is not None and not self.small_views:
                raise InputError(f"{name} needs small_views of at least 1; got 0")

    @property
    def architecture(self) -> str:
        """The backbone in words, such as "resnet18 of width 64"."""
        if BackboneRule.parse(self.backbone).kind != "resnet":
            return self.backbone
        stem = "" if self.stem == "imagenet" else f" with the {self.stem} stem"
        return f"{self.backbone} of width {self.width}{stem}"

    @property
    def view_count(self) -> int:
        """Number of large views of each image."""
        return count_views(self.symmetry, self.views)

    def small_views_of(self, image_size: int) -> SmallViews | None:
        """The small views; None if there are none.

        Args:
            image_size: Side of the large views in pixels.

        Raises:
            InputError: If the small views are not smaller.
        """
        if not self.small_views:
            return None
        small = SmallViews(
            self.small_views,
            self.small_size or max(8, round(image_size * 96 / 224)),
            self.small_area or SmallViews.crop_area,
        )
        small.check_below(image_size)
        return small

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed. Another method gets defaults of its own."""
        if changes.get("method", self.method) != self.method:
            own = method_options.METHOD_OPTIONS[self.method]
            defaults = {n: None for n, value in own.items() if getattr(self, n) == value}
            changes = defaults | changes
        return super().replace(**changes)


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
        return _plain(dataclasses.asdict(self))

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


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value
