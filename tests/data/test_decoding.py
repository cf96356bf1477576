"""Image files of every kind against Pillow."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import write_image
from PIL import Image

from keras_simsiam.data.decoding import decode


def decoded(path):
    return decode(tf.io.read_file(str(path))).numpy()


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
        pytest.param(
            "a.webp",
            "RGB",
            marks=pytest.mark.skipif(
                not hasattr(tf.io, "decode_webp"), reason="this TensorFlow reads no WebP"
            ),
        ),
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
