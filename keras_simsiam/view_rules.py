"""How many views there are of each image, large and small; no TensorFlow here."""

from __future__ import annotations

from dataclasses import dataclass

from keras_simsiam.errors import InputError
from keras_simsiam.fields import Settings, setting


@dataclass(frozen=True)
class SmallViews(Settings):
    """Small views of each image besides its two large ones (multi-crop; SwAV, Section 3.2)::

        small = SmallViews(count=6, size=16)
        model = SimSiam(backbone, small_views=small)
        model.fit(views(images, augmentation, 64, small_views=small), steps_per_epoch=100)

    They are made as the first large view, but for their crops and size. A step makes a forward and
    a backward pass for each of them, of about (size / image_size)² of the work for a large view.

    Raises:
        InputError: If a value is out of range.
    """

    count: int = setting(6, at_least=1)
    """Small views of each image."""
    size: int = setting(96, at_least=8)
    """Their side in pixels; SwAV uses 96 beside 224."""
    crop_area: tuple[float, float] = setting((0.05, 0.14), at_least=0, at_most=1, ascending=True)
    """Smallest and largest share of the image's area in a crop."""

    def check_below(self, image_size: int) -> None:
        """Raises InputError unless they are smaller than the large views."""
        if self.size >= image_size:
            raise InputError(
                f"small views must be smaller than the large ones, which have {image_size} pixels "
                f"a side; got {self.size}"
            )


def count_views(symmetry: str | None, views: int | None, small_views: int = 0) -> int:
    """The number of large views of each image.

    Args:
        symmetry: That of SimSiam; None for a method without one.
        views: How many were asked for; None for the default.
        small_views: How many small ones were asked for.

    Raises:
        InputError: If the symmetry does not have as many.
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
