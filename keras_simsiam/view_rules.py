"""How many large and small views each image has. Nothing here imports TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from keras_simsiam.errors import InputError
from keras_simsiam.fields import Settings, setting


@dataclass(frozen=True)
class SmallViews(Settings):
    """Small views of each image in addition to its two large ones (multi-crop; SwAV, Section 3.2)::

        small = SmallViews(count=6, size=16)
        model = SimSiam(backbone, small_views=small)
        model.fit(views(images, augmentation, 64, small_views=small), steps_per_epoch=100)

    They are augmented like the first large view, except for the area of crops and the size. A step
    makes a forward and a backward pass for each of them, with about (size / image_size)² times the
    work for a large view.

    Raises:
        InputError: If a value is out of range.
    """

    count: int = setting(6, at_least=1)
    """Number of small views of each image."""
    size: int = setting(96, at_least=8)
    """Side of the small views in pixels; SwAV uses 96, and 224 for large views."""
    crop_area: tuple[float, float] = setting((0.05, 0.14), at_least=0, at_most=1, ascending=True)
    """Smallest and largest area of a crop, as a share of the image's."""

    def check_below(self, image_size: int) -> None:
        """Raises InputError unless the small views are smaller than the large ones.

        Args:
            image_size: Side of the large views in pixels.
        """
        if self.size >= image_size:
            raise InputError(
                f"small views must be smaller than the large ones, which have {image_size} pixels "
                f"a side; got {self.size}"
            )


def count_views(symmetry: str | None, views: int | None, small_views: int = 0) -> int:
    """The number of large views of each image.

    Args:
        symmetry: The symmetry of the loss; None for a method without one.
        views: The requested number; None for the default.
        small_views: The requested number of small views.

    Raises:
        InputError: If the symmetry does not support these numbers.
    """
    if views is not None and symmetry != "fastsiam":
        raise InputError(
            f"views is an option of the symmetry fastsiam; got {views} with the symmetry {symmetry}"
        )
    if small_views and symmetry not in (None, "symmetric"):
        raise InputError(
            f"small_views is an option of the symmetry symmetric; got {small_views} with the "
            f"symmetry {symmetry}"
        )
    return {"two_pairs": 4, "fastsiam": views or 4}.get(symmetry or "", 2)
