"""What a run is: one tree of dataclasses, in and out of YAML.

This module imports no TensorFlow, so that `--help` and a mistyped option answer at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import types
import typing
from dataclasses import dataclass, field

import yaml
from simple_parsing import flag

from keras_simsiam.errors import InputError, check_choice

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Augmentation:
    """The random views (paper, Section 4 'Experimental setup'; MoCo v2's augmentation)."""

    crop_area: tuple[float, float] = (0.2, 1.0)
    """Smallest and largest part of the image's area that a crop takes."""
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Narrowest and broadest crop, width / height; drawn evenly in the logarithm."""
    flip_probability: float = 0.5
    """How often a view is mirrored left to right."""
    jitter_probability: float = 0.8
    """How often the colours of a view are jittered."""
    brightness: float = 0.4
    """Brightness is multiplied by 1 ± this."""
    contrast: float = 0.4
    """Contrast is multiplied by 1 ± this."""
    saturation: float = 0.4
    """Saturation is multiplied by 1 ± this."""
    hue: float = 0.1
    """Hue is turned by ± this, in turns; at most 0.5."""
    grayscale_probability: float = 0.2
    """How often a view becomes gray."""
    blur_probability: float = 0.5
    """How often a view is blurred; the paper does not blur CIFAR's images."""
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    """Weakest and strongest blur: standard deviation of the Gaussian in pixels of the view."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Mean of each channel, in [0, 1], that normalisation subtracts."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Standard deviation of each channel that normalisation divides by."""

    def __post_init__(self):
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if isinstance(value, list):
                object.__setattr__(self, f.name, value := tuple(value))
            if f.name.endswith("_probability") and not 0 <= value <= 1:
                raise InputError(f"{f.name} {value} is not between 0 and 1")
            if f.name in ("brightness", "contrast", "saturation") and value < 0:
                raise InputError(f"{f.name} {value} is negative")
        for name, lowest, highest in (
            ("crop_area", 0.0, 1.0),
            ("crop_ratio", 0.0, float("inf")),
            ("blur_sigma", 0.0, float("inf")),
        ):
            low, high = getattr(self, name)
            positive = low > 0 if name == "crop_ratio" else high > 0
            if not (positive and lowest <= low <= high <= highest):
                raise InputError(
                    f"{name} {low} {high} is no range: two numbers, the smaller first, "
                    f"from {lowest:g} to {highest:g}"
                )
        if not 0 <= self.hue <= 0.5:
            raise InputError(f"hue {self.hue} is not between 0 and 0.5 turns")

    @classmethod
    def preset(cls, name: str) -> Augmentation:
        """The augmentation called "imagenet" (all of it), "cifar" (no blur) or "none"."""
        if name not in AUGMENTATIONS:
            raise InputError(
                f"unknown augmentation '{name}'; augmentations are {', '.join(AUGMENTATIONS)}"
            )
        return cls(**AUGMENTATIONS[name])


AUGMENTATIONS = {
    "imagenet": {},
    "cifar": {"blur_probability": 0.0},
    "none": {
        "crop_area": (1.0, 1.0),
        "crop_ratio": (1.0, 1.0),
        "flip_probability": 0.0,
        "jitter_probability": 0.0,
        "grayscale_probability": 0.0,
        "blur_probability": 0.0,
    },
}


@dataclass
class Data:
    """Where the images come from."""

    dataset: str = "photo_patches"
    """photo_patches (embedded), tiny_imagenet, cifar10, cifar100, stl10, imagenette, tfds:NAME or
    folder:PATH."""
    data_dir: str | None = None
    """Where the dataset lies or is kept: for tiny_imagenet its zip or extracted tree; for the
    others the cache of TensorFlow Datasets."""
    image_size: int | None = None
    """Side of the views in pixels; that of the images where they have one size, else 224."""
    augment_on: str = "host"
    """Where the pixels of views are made: host (in tf.data) or device (in the training step)."""


@dataclass
class Model:
    """The network (paper, Section 3)."""

    backbone: str = "resnet18"
    """resnet18, resnet34 or resnet50."""
    width: int = 64
    """Channels of the first stage; 64 is the standard network, 16 a narrow one for CPUs."""
    stem: str = "imagenet"
    """imagenet (7x7 stride 2 and max-pool) or cifar (3x3 stride 1)."""
    projector_layers: int = 3
    """Layers of the projection MLP; the paper uses 2 for CIFAR."""
    projector_hidden: int | None = None
    """Its hidden width; that of the backbone's features if not given."""
    projector_dim: int = 2048
    """Dimension of z, and of p."""
    predictor_hidden: int | None = None
    """Hidden width of the predictor; a quarter of projector_dim if not given."""
    predictor_layers: int = 2
    """Layers of the predictor; the paper's has 2."""
    batch_norm: str = "default"
    """Where BatchNorm is in the heads: default (all but the predictor's output), hidden, all or
    none (paper, Table 3)."""
    predictor: str = "mlp"
    """mlp, fixed (as it was drawn) or none (paper, Table 1)."""
    stop_gradient: bool = flag(True, negative_prefix="--no-")
    """Whether no gradient flows through z; without, SimSiam collapses."""
    similarity: str = "cosine"
    """cosine or cross_entropy, what the loss measures (paper, Section 4.5)."""
    symmetry: str = "symmetric"
    """symmetric, asymmetric or two_pairs, which views predict which (paper, Section 4.6)."""
    pytorch_weights: str | None = None
    """A checkpoint of PyTorch's to begin from: a whole SimSiam of these sizes, or a backbone."""


@dataclass
class Training:
    """How it is trained (paper, Section 4 'Experimental setup')."""

    epochs: int = 100
    """Epochs, each of as many steps as there are whole batches in the dataset."""
    batch_size: int = 256
    """Images a step."""
    optimizer: str = "sgd"
    """sgd (the paper's), sgdw (weight decay apart from the momentum), lamb or lars (for large
    batches); each wants a learning rate of its own."""
    learning_rate: float = 0.05
    """Rate for a batch of 256; the rate used is this times batch_size / 256."""
    momentum: float = 0.9
    """Momentum of SGD, and LAMB's first beta."""
    weight_decay: float = 1e-4
    """Weight decay, added to the gradient but for sgdw and lamb; on every weight."""
    warmup_epochs: int = 0
    """Epochs in which the rate rises from zero; the paper has 10 for batches of 1024 and more."""
    predictor_decay: bool = flag(False, negative_prefix="--no-")
    """Whether the predictor's rate decays, too; it does better without (paper, Table 1)."""
    precision: str = "float32"
    """float32, mixed_bfloat16 or mixed_float16, Keras's policies; the loss and the exported
    features are float32 in any case."""
    deterministic: bool = flag(False, negative_prefix="--no-")
    """Whether every operation gives the same bits each time; slower, on some devices much."""
    jit_compile: bool = flag(False, negative_prefix="--no-")
    """Whether XLA compiles the training step; worth trying on a GPU."""
    stop_on_collapse: bool = flag(False, negative_prefix="--no-")
    """Whether a run that collapses ends early; it is warned of in any case."""
    seed: int = 0
    """Seed of the weights, the order of the images and the views."""


@dataclass
class Evaluation:
    """The kNN accuracy on the way and at the end (paper, Section 4.1)."""

    knn_every: int = 5
    """Epochs between kNN evaluations; 0 for only one, at the end."""
    knn_k: int = 200
    """Neighbours that vote."""
    knn_temperature: float = 0.1
    """Temperature of the vote: a neighbour weighs exp(cosine / temperature)."""


@dataclass
class Run:
    """Everything that a training run is."""

    data: Data = field(default_factory=Data)
    augmentation: Augmentation = field(default_factory=Augmentation)
    model: Model = field(default_factory=Model)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self):
        t, e = self.training, self.evaluation
        for name, value, allowed in (
            ("augment_on", self.data.augment_on, ("host", "device")),
            ("backbone", self.model.backbone, ("resnet18", "resnet34", "resnet50")),
            ("stem", self.model.stem, ("imagenet", "cifar")),
            ("batch_norm", self.model.batch_norm, ("default", "hidden", "all", "none")),
            ("predictor", self.model.predictor, ("mlp", "fixed", "none")),
            ("similarity", self.model.similarity, ("cosine", "cross_entropy")),
            ("symmetry", self.model.symmetry, ("symmetric", "asymmetric", "two_pairs")),
            ("optimizer", t.optimizer, ("sgd", "sgdw", "lamb", "lars")),
            ("precision", t.precision, ("float32", "mixed_bfloat16", "mixed_float16")),
        ):
            check_choice(name, value, allowed)
        for name, value, lowest in (
            ("image_size", self.data.image_size, 8),
            ("width", self.model.width, 1),
            ("projector_layers", self.model.projector_layers, 1),
            ("projector_hidden", self.model.projector_hidden, 1),
            ("projector_dim", self.model.projector_dim, 2),
            ("predictor_hidden", self.model.predictor_hidden, 1),
            ("predictor_layers", self.model.predictor_layers, 1),
            ("epochs", t.epochs, 1),
            ("learning_rate", t.learning_rate, 0),
            ("momentum", t.momentum, 0),
            ("weight_decay", t.weight_decay, 0),
            ("warmup_epochs", t.warmup_epochs, 0),
            ("seed", t.seed, 0),
            ("knn_every", e.knn_every, 0),
            ("knn_k", e.knn_k, 1),
        ):
            if value is not None and not value >= lowest:
                raise InputError(f"{name} {value} is too small; the least is {lowest}")
        if t.batch_size <= 1:
            raise InputError(
                f"batch_size {t.batch_size} is too small: BatchNorm needs at least 2 images"
            )
        if t.seed >= 2**31:
            raise InputError(f"seed {t.seed} is too large; the largest is {2**31 - 1}")
        if t.warmup_epochs >= t.epochs:
            raise InputError(
                f"warmup_epochs {t.warmup_epochs} must be fewer than epochs {t.epochs}"
            )
        if not e.knn_temperature > 0:
            raise InputError(f"knn_temperature {e.knn_temperature} must be above 0")

    def to_dict(self) -> dict:
        """Plain dicts and lists, as in the YAML."""
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, values: dict, base: Run | None = None) -> Run:
        """A run from nested dicts; what they leave out is taken from `base`.

        Raises:
            InputError: If a name is unknown or a value has the wrong type, naming it.
        """
        return _merge(base or cls(), values, "")

    def save(self, path: str | pathlib.Path) -> None:
        """Writes the run as YAML."""
        pathlib.Path(path).write_text(yaml.safe_dump(self.to_dict(), sort_keys=False))

    @classmethod
    def load(cls, path: str | pathlib.Path, base: Run | None = None) -> Run:
        """Reads a run from YAML; what the file leaves out is taken from `base`.

        Raises:
            InputError: If the file is missing, is no YAML mapping, or does not fit.
        """
        return cls.from_dict(read_yaml(path), base)


def read_yaml(path: str | pathlib.Path) -> dict:
    """The mapping in a YAML file.

    Raises:
        InputError: If there is none.
    """
    try:
        values = yaml.safe_load(pathlib.Path(path).read_text())
    except OSError as e:
        raise InputError(f"config file '{path}' cannot be read: {e.strerror}") from e
    except yaml.YAMLError as e:
        raise InputError(f"config file '{path}' is no YAML: {' '.join(str(e).split())}") from e
    if not isinstance(values, dict):
        raise InputError(f"config file '{path}' must hold a mapping, with sections such as data:")
    return values


def _merge(base, values: dict, prefix: str):
    """`base`, a dataclass, with `values` in place of its own."""
    fields = typing.get_type_hints(type(base))
    changes = {}
    if not isinstance(values, dict):
        raise InputError(f"config: {prefix.rstrip('.')} must be a mapping, not {values!r}")
    for name, value in values.items():
        if name not in fields:
            raise InputError(
                f"config: unknown name '{prefix}{name}'; names here are {', '.join(fields)}"
            )
        current = getattr(base, name)
        if dataclasses.is_dataclass(current):
            changes[name] = _merge(current, value, f"{prefix}{name}.")
        else:
            changes[name] = _checked(value, fields[name], f"{prefix}{name}")
    return dataclasses.replace(base, **changes)


def _checked(value, kind, name: str):
    """A value from YAML as the field's type, such as `float` or `int | None`."""
    kinds = typing.get_args(kind)
    if types.NoneType in kinds:
        if value is None:
            return None
        kind, _ = kinds
    if kind is float and isinstance(value, str):
        # YAML 1.1 reads 1e-4 as text.
        with contextlib.suppress(ValueError):
            value = float(value)
    if kind is float and _is_number(value):
        return float(value)
    if kind is int and _is_number(value) and float(value).is_integer():
        return int(value)
    if typing.get_origin(kind) is tuple and isinstance(value, list | tuple):
        if len(value) == len(kinds) and all(map(_is_number, value)):
            return tuple(map(float, value))
    elif kind is type(value):  # bool or str
        return value
    wanted = f"list of {len(kinds)} numbers" if typing.get_origin(kind) is tuple else kind.__name__
    raise InputError(f"config: {name} is {value!r}, which is no {wanted}")


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value):
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value
