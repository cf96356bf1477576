"""The settings of the random views, which `keras_simsiam.augment` makes."""

from __future__ import annotations

import functools
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import Literal

from keras_simsiam.errors import InputError, check_choice, shown
from keras_simsiam.fields import Settings, setting
from keras_simsiam.view_rules import SmallViews

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Numbers, of which an option takes as many as there are channels, or "auto".
_per_channel = functools.partial(setting, nargs="+", type=str, required=False, metavar="float")


@dataclass(frozen=True)
class Augmentation(Settings):
    """The random views (paper, Section 4 'Experimental setup'; MoCo v2's augmentation)."""

    crop_area: tuple[float, float] = setting((0.2, 1.0), at_least=0, at_most=1, ascending=True)
    """Smallest and largest area of a crop, as a share of the image's."""
    crop_ratio: tuple[float, float] = setting((3 / 4, 4 / 3), above=0, ascending=True)
    """Smallest and largest aspect ratio of a crop, width / height; log-uniform."""
    flip_probability: float = setting(0.5, at_least=0, at_most=1)
    """Probability of a horizontal flip."""
    vertical_flip_probability: float = setting(0.0, at_least=0, at_most=1)
    """Probability of a vertical flip, for images without a top."""
    turn_probability: float = setting(0.0, at_least=0, at_most=1)
    """Probability of a turn by 90, 180 or 270 degrees, for images without a top; 0.75 makes all
    four directions equally likely."""
    jitter_probability: float = setting(0.8, at_least=0, at_most=1)
    """Probability of color jitter."""
    brightness: float = setting(0.4, at_least=0)
    """Brightness is multiplied by a random factor in 1 ± this."""
    contrast: float = setting(0.4, at_least=0)
    """Contrast is multiplied by a random factor in 1 ± this."""
    saturation: float = setting(0.4, at_least=0)
    """Saturation is multiplied by a random factor in 1 ± this."""
    hue: float = setting(0.1, at_least=0, at_most=0.5)
    """Hue is shifted by a random amount in ± this, in turns of the color wheel."""
    grayscale_probability: float = setting(0.2, at_least=0, at_most=1)
    """Probability of conversion to grayscale."""
    blur_probability: float = setting(0.5, at_least=0, at_most=1)
    """Probability of Gaussian blur; the paper does not blur CIFAR images."""
    blur_sigma: tuple[float, float] = setting((0.1, 2.0), at_least=0, ascending=True)
    """Smallest and largest standard deviation of the blur, in pixels of the view."""
    solarize_probability: float = setting(0.0, at_least=0, at_most=1)
    """Probability that bright pixels are inverted (BYOL, Appendix B)."""
    solarize_threshold: float = setting(0.5, at_least=0, at_most=1)
    """Pixels of at least this value, in [0, 1], are inverted."""
    erase_probability: float = setting(0.0, at_least=0, at_most=1)
    """Probability that a rectangle is erased, which then has the mean of each channel."""
    erase_area: tuple[float, float] = setting((0.02, 0.33), above=0, at_most=1, ascending=True)
    """Smallest and largest area of that rectangle, as a share of the view's."""
    erase_ratio: tuple[float, float] = setting((0.3, 3.3), above=0, ascending=True)
    """Smallest and largest aspect ratio of that rectangle, height / width; log-uniform."""
    second_blur_probability: float | None = setting(None, at_least=0, at_most=1)
    """Probability of blur in every second view (BYOL, Table 6); by default that in all views."""
    second_solarize_probability: float | None = setting(None, at_least=0, at_most=1)
    """Probability that every second view is solarized (BYOL, Table 6); by default that in all
    views."""
    mean: tuple[float, ...] | Literal["auto"] = _per_channel(IMAGENET_MEAN, at_least=0, at_most=1)
    """Mean of each channel, in [0, 1], subtracted in normalization; auto to measure it."""
    std: tuple[float, ...] | Literal["auto"] = _per_channel(IMAGENET_STD, above=0, at_most=1)
    """Standard deviation of each channel, in (0, 1], divided by in normalization; auto to measure
    it."""

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            given = getattr(self, name)
            if isinstance(given, list) and given == ["auto"]:  # as an option of a command
                object.__setattr__(self, name, "auto")
        super().__post_init__()
        if not self.is_measured:
            check_same_channels(self.mean, self.std)

    @property
    def is_measured(self) -> bool:
        """Whether mean or std are to be measured, and so depend on the images."""
        return "auto" in (self.mean, self.std)

    @property
    def channels(self) -> int | None:
        """Channels of the images, as mean and std say; None if both are to be measured."""
        return next((len(v) for v in (self.mean, self.std) if v != "auto"), None)

    @property
    def on_color(self) -> tuple[str, ...]:
        """Names of the operations that can occur and need red, green and blue."""
        names = {"color jitter": "jitter_probability", "grayscale": "grayscale_probability"}
        return tuple(name for name, setting in names.items() if getattr(self, setting) > 0)

    def without_color(self) -> Augmentation:
        """The augmentation without the operations that need red, green and blue."""
        return self.replace(jitter_probability=0.0, grayscale_probability=0.0)

    def of_view(self, number: int) -> Augmentation:
        """The augmentation of one view, without settings that only apply to some views.

        Args:
            number: Number of the view, from 0.
        """
        settings = ("blur_probability", "solarize_probability")
        changes: dict[str, float | None] = {f"second_{name}": None for name in settings}
        for name in settings:
            second = getattr(self, f"second_{name}")
            if number % 2 and second is not None:
                changes[name] = second
        return self.replace(**changes)

    @classmethod
    def preset(cls, name: str) -> Augmentation:
        """A named augmentation: "imagenet" (the paper's), "cifar" (no blur) or "none".

        Raises:
            InputError: If there is no augmentation of that name.
        """
        check_choice("augmentation", name, AUGMENTATIONS)
        return cls(**AUGMENTATIONS[name])


def per_view(
    augmentation: Augmentation | Sequence[Augmentation], views: int
) -> tuple[Augmentation, ...]:
    """The augmentation of each view, without settings that only apply to some views.

    Args:
        augmentation: One for all views, or one per view.
        views: The number of views.

    Raises:
        InputError: If it is neither a single augmentation nor one per view.
    """
    if isinstance(augmentation, Augmentation):
        return tuple(map(augmentation.of_view, range(views)))
    if not isinstance(augmentation, Sequence):
        raise InputError(f"augmentation must be an Augmentation; got {shown(augmentation)}")
    if len(augmentation) != views:
        raise InputError(
            f"augmentation must be one Augmentation, or one for each of {views} views; "
            f"got {len(augmentation)}"
        )
    return tuple(a.of_view(i) for i, a in enumerate(augmentation))


def each_view(
    augmentation: Augmentation | Sequence[Augmentation],
    large: int,
    size: int,
    small_views: SmallViews | None = None,
) -> tuple[tuple[Augmentation, ...], tuple[int, ...]]:
    """The augmentation and the side in pixels of each view, the small ones last.

    Args:
        augmentation: One for all large views, or one for each.
        large: Number of large views.
        size: Side of the large views in pixels.
        small_views: The small views, if there are any.

    Raises:
        InputError: If there is neither a single augmentation nor one per large view, or the small
            views are not smaller.
    """
    augmentations, sizes = per_view(augmentation, large), (size,) * large
    if small_views is None:
        return augmentations, sizes
    small_views.check_below(size)
    small = augmentations[0].replace(crop_area=small_views.crop_area)
    count = small_views.count
    return augmentations + (small,) * count, sizes + (small_views.size,) * count


def check_same_channels(mean: Sized, std: Sized) -> None:
    """Raises InputError unless mean and std have a number for each of the same channels."""
    if not len(mean) == len(std) > 0:
        raise InputError(
            "mean and std must have one number for each channel; "
            f"got {len(mean)} and {len(std)} numbers"
        )


AUGMENTATIONS: dict[str, dict] = {
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
