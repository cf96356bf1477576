"""Reads TIFF files as scanners, microscopes and satellites write them."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageOps
import tifffile

_TYPES = "uif"  # kinds of numbers
_ALPHA = [int(tifffile.EXTRASAMPLE.ASSOCALPHA), int(tifffile.EXTRASAMPLE.UNASSALPHA)]
_PLAIN = [int(tifffile.PHOTOMETRIC.MINISBLACK), int(tifffile.PHOTOMETRIC.RGB)]


def read_tiff(path: str) -> np.ndarray:
    """The first image of a file.

    Colors of palettes, CMYK and YCbCr become RGB, white that is 0 becomes black, and transparent
    pixels are laid on white. Several pages of one size are channels, as ImageJ stores them.

    Args:
        path: The file.

    Returns:
        Integers or floats ``[H, W, C]``; uint8 for at most 8 bits.

    Raises:
        ValueError: If the file has more axes than these, or numbers of another kind.
        Exception: Of tifffile or Pillow, if the file is damaged or compressed in a way that
            neither reads.
    """
    with tifffile.TiffFile(path) as file:
        page, series = file.pages.first, file.series[0]
        if page.photometric not in _PLAIN or page.bitspersample < 8:
            return _by_pillow(path)
        try:
            values = series.asarray()
        except ValueError as e:
            if "imagecodecs" in str(e) and page.bitspersample == 8:
                return _by_pillow(path)
            raise ValueError(str(e).replace("<", "").replace(">", "")) from e
        values = _channels_last(values, series.axes)
        has_alpha = bool(page.extrasamples) and page.extrasamples[-1] in _ALPHA
    if values.dtype.kind not in _TYPES:
        raise ValueError(f"its pixels must be integers or floats; they are {values.dtype}")
    return _on_white(values) if has_alpha and values.shape[2] in (2, 4) else values


def _by_pillow(path: str) -> np.ndarray:
    with PIL.Image.open(path, formats=["TIFF"]) as image:
        upright = PIL.ImageOps.exif_transpose(image)
        if upright.mode in ("1", "L"):
            return np.asarray(upright.convert("L"))[..., None]
        return _on_white(np.asarray(upright.convert("RGBA")))


def _channels_last(values: np.ndarray, axes: str) -> np.ndarray:
    """The array ``[H, W, C]`` whose axes have the letters of tifffile."""
    kept = [i for i, side in enumerate(values.shape) if side > 1 or axes[i] in "YX"]
    values, axes = values.reshape([values.shape[i] for i in kept]), "".join(axes[i] for i in kept)
    if axes.count("Y") != 1 or axes.count("X") != 1 or len(axes) > 3:
        raise ValueError(f"its axes must be height, width and channels; they are {axes}")
    if len(axes) == 3 and "Q" in axes:  # an array of tifffile, whose axes are not known
        return values
    if len(axes) == 2:
        values, axes = values[..., None], f"{axes}C"
    (channels,) = set(axes) - {*"YX"}
    return np.moveaxis(values, [axes.index(a) for a in ("Y", "X", channels)], [0, 1, 2])


def _on_white(values: np.ndarray) -> np.ndarray:
    """Colors or grays laid on white, where the last channel is how opaque they are."""
    white = np.iinfo(values.dtype).max if values.dtype.kind in "ui" else 1.0
    opaque = values[..., -1:].astype(np.float64) / white
    laid = values[..., :-1] * opaque + white * (1.0 - opaque)
    return (np.rint(laid) if values.dtype.kind in "ui" else laid).astype(values.dtype)
