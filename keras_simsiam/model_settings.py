"""The settings of the network and of the method that trains it. No TensorFlow here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

from keras_simsiam import method_options
from keras_simsiam.backbone_rules import BackboneRule
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Settings, by_method, setting
from keras_simsiam.target_rules import TargetRule
from keras_simsiam.view_rules import SmallViews, count_views

Stem = Literal["imagenet", "cifar"]
Similarity = Literal["cosine", "cross_entropy"]
Symmetry = Literal["symmetric", "asymmetric", "two_pairs", "fastsiam"]
Method = Literal["simsiam", "byol", "simclr", "moco", "swav", "barlow_twins", "vicreg"]


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
    """Weights that the backbone starts from: imagenet for those of keras.applications, a file that
    Keras's save_weights wrote, or none for random ones; by default those in FILE.keras, or none."""
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
