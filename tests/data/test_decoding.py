"""Image files of every kind against Pillow."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from helpers import write_image
from PIL import Image, ImageOps

from keras_simsiam import Pixels
from keras_simsiam.data.decoding import MAX_PIXELS, decode

needs_webp = pytest.mark.skipif(
    not hasattr(tf.io, "decode_webp"), reason="this TensorFlow reads no WebP"
)


def decoded(path):
    return decode(tf.io.read_file(str(path))).numpy()


def encoded(kind, mode="RGB", size=(40, 30), **options):
    coarse = np.random.RandomState(0).randint(0, 256, (4, 4, 4), np.uint8)
    image = Image.fromarray(coarse, "RGBA").resize(size, Image.Resampling.BICUBIC).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pillow(contents):
    """RGB; what is transparent is laid on white."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(contents))).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def in_tf_data(contents):
    """What a pipeline gives, whose graph TensorFlow optimizes; None where decoding fails."""
    dataset = tf.data.Dataset.from_tensor_slices(contents).enumerate()
    dataset = dataset.map(lambda i, c: (i, decode(c)), tf.data.AUTOTUNE).ignore_errors()
    found = {int(i): image for i, image in dataset.as_numpy_iterator()}
    return [found.get(i) for i in range(len(contents))]


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.jpg", "RGB"),
        ("a.jpg", "L"),
        ("a.jpg", "CMYK"),
        ("a.png", "RGB"),
        ("a.png", "L"),
        ("a.png", "LA"),
        ("a.png", "RGBA"),
        ("a.png", "P"),
        ("a.png", "1"),
        ("a.gif", "P"),
        ("a.bmp", "RGB"),
        ("a.bmp", "L"),
        ("a.bmp", "P"),
        ("a.bmp", "1"),
        ("a.bmp", "RGBA"),
        pytest.param("a.webp", "RGB", marks=needs_webp),
        pytest.param("a.webp", "RGBA", marks=needs_webp),
    ],
)
def test_each_format_becomes_pillows_rgb(name, mode, tmp_path):
    path = tmp_path / name
    options = {"lossless": True} if name.endswith("webp") else {}
    write_image(path, 0, (40, 30), mode, **options)
    expected = np.asarray(Image.open(path).convert("RGB")).astype(int)
    found = decoded(path)
    assert found.dtype == np.uint8
    assert found.shape == (30, 40, 3)
    # Builds of the JPEG library may round differently, and more so from CMYK.
    assert np.abs(found - expected).max() <= {"a.jpg": 2 if mode == "CMYK" else 1}.get(name, 0)


def test_sixteen_bits_become_eight(tmp_path):
    gray = np.linspace(0, 65535, 30 * 40).reshape(30, 40).astype(np.uint16)
    Image.fromarray(gray).save(tmp_path / "a.png")
    expected = np.repeat((gray // 256)[..., None], 3, axis=2)
    assert np.abs(decoded(tmp_path / "a.png").astype(int) - expected).max() <= 1


def test_an_animation_becomes_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (decoded(tmp_path / "a.gif") == [255, 0, 0]).all()


def test_text_is_not_an_image(tmp_path):
    (tmp_path / "a.jpg").write_text("not an image, but long enough to be taken for one")
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded(tmp_path / "a.jpg")


def exif(orientation, order="<", kind=3):
    """Exif data of one tag more than the orientation."""
    value = struct.pack(order + ("I" if kind == 4 else "H"), orientation).ljust(4, b"\0")
    head = b"II*\0" if order == "<" else b"MM\0*"
    first = struct.pack(order + "HHII", 0x0100, 4, 1, 40)
    second = struct.pack(order + "HHI", 0x0112, kind, 1) + value
    tiff = head + struct.pack(order + "IH", 8, 2) + first + second + b"\0" * 4
    return b"Exif\0\0" + tiff


def test_images_are_upright_as_their_exif_data_say():
    kinds = ["JPEG", "PNG"] + ["WEBP"] * hasattr(tf.io, "decode_webp")
    contents = [
        encoded(kind, exif=exif(orientation, order, number))
        for kind in kinds
        for orientation in range(10)
        for order, number in (("<", 3), (">", 3), (">", 4))
    ]
    for c, found in zip(contents, in_tf_data(contents), strict=True):
        assert found.shape == pillow(c).shape
        assert np.abs(found.astype(int) - pillow(c)).max() <= 1


@pytest.mark.parametrize("first", ["nothing", "JFIF", "a large comment", "XMP"])
def test_exif_data_are_found_wherever_they_are(first):
    whole = encoded("JPEG", exif=exif(6))
    start = whole.index(b"\xff\xe1")
    length = 2 + int.from_bytes(whole[start + 2 : start + 4], "big")
    segment, rest = whole[start : start + length], whole[:start] + whole[start + length :]
    if first == "nothing":
        contents = rest[:2] + segment + rest[2:]
    else:
        text = {"a large comment": b"x" * 9000, "XMP": b"http://ns.adobe.com/xap/1.0/\0<x/>"}
        before = text.get(first, b"")
        mark = b"\xff\xe1" if first == "XMP" else b"\xff\xfe"
        extra = mark + (len(before) + 2).to_bytes(2, "big") + before if before else b""
        jfif = rest.index(b"\xff\xdb")
        contents = rest[:jfif] + extra + segment + rest[jfif:]
    assert decode(contents).shape == pillow(contents).shape == (40, 30, 3)


def test_damaged_exif_data_are_as_none():
    whole, plain = encoded("JPEG", exif=exif(6)), encoded("JPEG")
    start = whole.index(b"Exif\0\0") + 6
    tiff = whole[start : start + 38]
    damaged = [b"XX" + tiff[2:], tiff[:4] + b"\xff" * 4 + tiff[8:], tiff[:8] + b"\xff" * 30]
    damaged += [tiff[:22] + b"\x12\x01\x02" + tiff[25:], tiff[:10] + b"\0" * 28]
    contents = [whole[:start] + d + whole[start + 38 :] for d in damaged]
    # Cut off within Exif data at the end of the part that is searched.
    contents += [plain[:2] + b"\xff\xe1\x00\x0aExif\0\0II" + plain[2:]]
    for found in in_tf_data(contents):
        np.testing.assert_array_equal(found, decode(plain))


@needs_webp
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [True, False])
def test_an_animated_webp_becomes_its_first_frame(mode, lossless):
    black = Image.new(mode, (40, 30))
    contents = encoded("WEBP", mode, save_all=True, append_images=[black], lossless=lossless)
    difference = decode(contents).numpy().astype(int) - pillow(contents)
    assert np.abs(difference).max() <= (mode == "RGBA")  # the sums of alpha are rounded


def bmp(bits, width=9, compression=0, masks=(), colors=0, old=False, top_down=False):
    """A BMP of 5 rows of random pixels, made by hand, as Pillow writes few kinds."""
    random = np.random.RandomState(bits)
    row = (width * bits + 31) // 32 * 4
    pixels = random.bytes(5 * row)
    if old:
        header = struct.pack("<IHHHH", 12, width, 5, 1, bits)
    else:
        height = -5 if top_down else 5
        sizes = (40, width, height, 1, bits, compression, len(pixels), 0, 0, colors, 0)
        header = struct.pack("<IiiHHIIiiII", *sizes) + struct.pack(f"<{len(masks)}I", *masks)
    palette = random.bytes((3 if old else 4) * (colors or 2**bits)) if bits <= 8 else b""
    start = 14 + len(header) + len(palette)
    file = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    return file + header + palette + pixels


BMPS = {
    **{f"{bits} bits": {"bits": bits} for bits in (1, 4, 8, 16, 24, 32)},
    **{f"{bits} bits from the top": {"bits": bits, "top_down": True} for bits in (1, 8, 16, 24)},
    **{f"{bits} bits of OS/2": {"bits": bits, "old": True} for bits in (1, 4, 8, 24)},
    **{f"4 bits, {width} wide": {"bits": 4, "width": width} for width in (1, 7, 8, 16)},
    "1 bit, 8 wide": {"bits": 1, "width": 8},
    "few colors": {"bits": 8, "colors": 10},
    "5, 6 and 5 bits": {"bits": 16, "compression": 3, "masks": (0xF800, 0x7E0, 0x1F)},
    "5, 5 and 5 bits": {"bits": 16, "compression": 3, "masks": (0x7C00, 0x3E0, 0x1F)},
    "red last": {"bits": 32, "compression": 3, "masks": (0xFF000000, 0xFF0000, 0xFF00)},
    "red first": {"bits": 32, "compression": 3, "masks": (0xFF0000, 0xFF00, 0xFF)},
}


def test_bmps_are_read_as_pillow_does():
    contents = {name: bmp(**options) for name, options in BMPS.items()}
    contents["bytes after the pixels"] = bmp(24) + b"\0\0"
    for (name, c), found in zip(contents.items(), in_tf_data([*contents.values()]), strict=True):
        np.testing.assert_array_equal(found, pillow(c), err_msg=name)


def test_unread_kinds_of_bmp_are_refused():
    compressed = bmp(8, compression=1)
    for contents in (compressed, bmp(24)[:-1], bmp(24)[:20], bmp(2), bmp(24, width=0)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"BMP|pixels"):
            decode(contents)


def huge(kind):
    """An image whose header claims 60,000 × 60,000 pixels."""
    contents = bmp(24) if kind == "BMP" else encoded(kind, exact=True)
    at, code = {
        "PNG": (16, ">II"),
        "GIF": (6, "<HH"),
        "BMP": (18, "<ii"),
        "JPEG": (contents.find(b"\xff\xc0") + 5, ">HH"),
    }[kind]
    size = struct.pack(code, 60_000, 60_000)
    return contents[:at] + size + contents[at + len(size) :]


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "JPEG"])
def test_a_header_cannot_ask_for_any_amount_of_memory(kind):
    whole = encoded("PNG")
    assert [found is None for found in in_tf_data([huge(kind), whole])] == [True, False]
    message = "JPEG" if kind == "JPEG" else f"{MAX_PIXELS:,}"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode(huge(kind))


def test_a_jpeg_without_its_end_is_refused():
    contents = [encoded("JPEG", size=(400, 300), **o) for o in ({}, {"progressive": True})]
    cut = [c[: int(len(c) * part)] for c in contents for part in (0.3, 0.9, 0.99)]
    assert in_tf_data(cut) == [None] * len(cut)


def transparent(mode):
    """A red image whose lower half is transparent, over hidden green."""
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    image.paste((0, 255, 0, 0), (0, 4, 8, 8))
    options = {}
    if mode == "P":
        image = Image.new("P", (8, 8), 0)
        image.putpalette([255, 0, 0, 0, 255, 0])
        image.paste(1, (0, 4, 8, 8))
        options = {"transparency": 1}
    if mode == "RGB":
        image, options = image.convert("RGB"), {"transparency": (0, 255, 0)}
    if mode == "LA":
        image = image.convert("LA")
    return image, options


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_what_is_transparent_is_laid_on_white(mode):
    image, options = transparent(mode)
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    found = decode(file.getvalue()).numpy()
    np.testing.assert_array_equal(found, pillow(file.getvalue()))
    assert (found[4:] == 255).all()
    assert (found[:4] != 255).any()
    gray = decode(file.getvalue(), Pixels(1)).numpy()
    assert gray.shape == (8, 8, 1)
    assert (gray[4:] == 255).all()


@needs_webp
def test_a_transparent_webp_is_laid_on_white():
    file = io.BytesIO()
    transparent("RGBA")[0].save(file, "WEBP", lossless=True, exact=True)
    np.testing.assert_array_equal(decode(file.getvalue()), pillow(file.getvalue()))


def test_pngs_with_alpha_can_be_two_or_four_channels():
    for mode in ("LA", "RGBA"):
        contents, count = encoded("PNG", mode), len(mode)
        found = decode(contents, Pixels(count))
        np.testing.assert_array_equal(found, np.asarray(Image.open(io.BytesIO(contents))))
    for contents, message in ((encoded("PNG"), "3 channels"), (encoded("JPEG"), "3 channels")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"{message} where 4"):
            decode(contents, Pixels(4))
