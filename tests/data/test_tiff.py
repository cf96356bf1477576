"""TIFF files of every kind against Pillow and tifffile."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from keras_simsiam.data.tiff import read_tiff

RANDOM = np.random.RandomState(0)
RGB = RANDOM.randint(0, 256, (12, 10, 3), np.uint8)
DEEP = RANDOM.randint(0, 65536, (12, 10, 5), np.uint16)


@pytest.mark.parametrize(
    ("mode", "compression"),
    [
        *((mode, None) for mode in ("RGB", "L", "1", "P", "CMYK", "I;16", "F")),
        *(("RGB", c) for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits")),
        ("YCbCr", None),
        ("I;16", "tiff_adobe_deflate"),
    ],
)
def test_colors_and_grays_are_pillows(mode, compression, tmp_path):
    image = Image.fromarray(RGB)
    image = Image.fromarray(DEEP[..., 0]) if mode == "I;16" else image.convert(mode)
    image.save(tmp_path / "a.tif", compression=compression)
    with Image.open(tmp_path / "a.tif") as kept:
        is_gray = mode in ("L", "I;16", "F")
        expected = np.asarray(kept if is_gray else kept.convert("L" if mode == "1" else "RGB"))
    found = read_tiff(str(tmp_path / "a.tif"))
    np.testing.assert_array_equal(found, np.atleast_3d(expected))
    assert found.dtype == expected.dtype


@pytest.mark.parametrize(
    "options",
    [
        {"planarconfig": "contig"},
        {"planarconfig": "separate", "axes": "CYX"},
        {"planarconfig": "contig", "compression": "zlib"},
        {"planarconfig": "contig", "compression": "zlib", "predictor": True, "tile": (16, 16)},
        {"planarconfig": "contig", "byteorder": ">"},
        {"imagej": True, "axes": "CYX"},
        {"ome": True, "axes": "CYX"},
        {"planarconfig": "contig", "bigtiff": True},
    ],
)
def test_channels_come_last_however_they_are_stored(options, tmp_path):
    options = dict(options)
    axes = options.pop("axes", "YXC")
    array = np.moveaxis(DEEP, 2, 0) if axes == "CYX" else DEEP
    metadata = {"axes": axes} if "imagej" in options or "ome" in options else None
    photometric = {} if metadata else {"photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", array, metadata=metadata, **photometric, **options)
    np.testing.assert_array_equal(read_tiff(str(tmp_path / "a.tif")), DEEP)


def test_arrays_whose_axes_are_not_known_stay_as_they_are(tmp_path):
    for array in (DEEP, np.moveaxis(DEEP, 2, 0)):
        tifffile.imwrite(tmp_path / "a.tif", array)
        np.testing.assert_array_equal(read_tiff(str(tmp_path / "a.tif")), array)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_transparent_colors_are_laid_on_white(kind, tmp_path):
    white = 1.0 if kind == np.float32 else np.iinfo(kind).max
    image = np.zeros((4, 4, 4), kind)
    image[..., 0] = white
    image[:2, :, 3] = white
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extrasamples=["unassalpha"])
    found = read_tiff(str(tmp_path / "a.tif"))
    assert found.dtype == kind
    assert (found[:2] == np.array([white, 0, 0], kind)).all()
    assert (found[2:] == white).all()


def test_a_fourth_channel_that_is_not_alpha_is_kept(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", DEEP[..., :4], photometric="rgb", extrasamples=["unspecified"]
    )
    np.testing.assert_array_equal(read_tiff(str(tmp_path / "a.tif")), DEEP[..., :4])


def test_what_has_more_axes_is_refused(tmp_path):
    stack = np.zeros((2, 3, 8, 8), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    with pytest.raises(ValueError, match="axes must be height, width and channels; they are ZCYX"):
        read_tiff(str(tmp_path / "a.tif"))


def test_a_compression_that_nobody_reads_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP[..., :3], photometric="rgb", compression="zlib")
    contents = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        contents[file.pages.first.tags["Compression"].valueoffset] = 5  # LZW
    (tmp_path / "a.tif").write_bytes(contents)
    with pytest.raises(ValueError, match=r"LZW.* requires the 'imagecodecs' package"):
        read_tiff(str(tmp_path / "a.tif"))
