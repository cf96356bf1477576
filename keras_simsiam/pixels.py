"""How the values in image files become uint8. Nothing here imports TensorFlow or NumPy."""

from __future__ import annotations

from dataclasses import dataclass

from keras_simsiam.errors import InputError, shown
from keras_simsiam.fields import Settings, setting


@dataclass(frozen=True)
class Pixels(Settings):
    """The channels of images, and the range of files with more than 8 bits a channel::

        train = ks.load("folder:PATH", pixels=ks.Pixels(channels=13))
        train.pixels.low, train.pixels.high  # as measured

    Values of such files (PNG of 16 bits, TIFF and .npy of integers or floats) from `low` to `high`
    become 0 to 255; what is outside is clipped. Files of 8 bits are read as they are.

    Raises:
        InputError: If the range does not have one value for each channel, or is empty.
    """

    channels: int = setting(3, at_least=1, at_most=256)
    """Channels of the images. With 3, gray files become RGB; with 1, RGB files become gray."""
    low: tuple[float, ...] = ()
    """The value of each channel that becomes 0; if there is none, the range is measured."""
    high: tuple[float, ...] = ()
    """The value of each channel that becomes 255."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (len(self.low) == len(self.high) and len(self.low) in (0, self.channels)):
            raise InputError(
                f"low and high must have {self.channels} numbers, one for each channel; "
                f"got {len(self.low)} and {len(self.high)}"
            )
        if any(a >= b for a, b in zip(self.low, self.high, strict=True)):
            raise InputError(
                f"high must be above low; got {shown(self.high)} and {shown(self.low)}"
            )

    @classmethod
    def of(cls, channels: int, ends: tuple[float, float] | None) -> Pixels:
        """Pixels whose channels all have the same range.

        Args:
            channels: Their number.
            ends: Low and high; None if they are to be measured.
        """
        if ends is None:
            return cls(channels)
        return cls(channels, ends[:1] * channels, ends[1:] * channels)

    @property
    def range(self) -> str:
        """Such as "3 to 4,061"; of channels with different ranges, each; empty if there is none."""
        ranges = dict.fromkeys(
            f"{a:,.6g} to {b:,.6g}" for a, b in zip(self.low, self.high, strict=True)
        )
        return ", ".join(ranges)
