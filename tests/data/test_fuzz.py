"""Damaged image files at random: all are read or named, and what is read can be trained on."""

import io
import os
import random
import resource

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_simsiam import Augmentation, InputError, load, views
from keras_simsiam.data import reading

COUNT = int(os.environ.get("FUZZED_IMAGES", "1000"))


def originals():
    coarse = np.random.RandomState(0).randint(0, 256, (6, 8, 4), np.uint8)
    image = Image.fromarray(coarse, "RGBA").resize((64, 48), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = [
        ("jpg", "RGB", {}),
        ("jpg", "RGB", {"progressive": True, "exif": exif}),
        ("jpg", "CMYK", {}),
        ("png", "RGBA", {"exif": exif}),
        ("png", "P", {}),
        ("gif", "P", {}),
        ("bmp", "RGB", {}),
        ("bmp", "P", {}),
        ("bmp", "1", {}),
        ("webp", "RGBA", {"lossless": True, "exif": exif}),
        ("webp", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (64, 48))]}),
    ]
    for suffix, mode, options in kinds:
        file = io.BytesIO()
        kind = {"jpg": "JPEG"}.get(suffix, suffix.upper())
        image.convert(mode).save(file, kind, **options)
        yield suffix, file.getvalue()


def damaged(contents, chance):
    """Contents with bytes changed, mostly in the header, cut out, doubled or cut off."""
    found = bytearray(contents)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        end = chance.choice((40, 200, len(found)))
        at = chance.randrange(min(end, len(found)) or 1)
        how = chance.randrange(6)
        if how < 3:
            value = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
            found[at : at + 1] = bytes([value])
        elif how == 3:
            found[at : at + chance.randrange(30)] = b""
        elif how == 4:
            found[at:at] = found[at : at + chance.randrange(30)]
        else:
            found[at + chance.randrange(len(found)) :] = b""
        if not found:
            break
    return bytes(found)


@pytest.mark.slow
def test_fuzzed_files_are_read_or_named(tmp_path, monkeypatch):
    chance, whole = random.Random(0), [*originals()]
    for i in range(COUNT):
        suffix, contents = whole[i % len(whole)]
        (tmp_path / f"{i:05}.{suffix}").write_bytes(damaged(contents, chance))
    monkeypatch.setattr(reading, "_SHOWN", COUNT)
    with pytest.raises(InputError, match="At most 1%") as refused:
        load(f"folder:{tmp_path}", "train")
    text = str(refused.value)
    named = [path for path in sorted(tmp_path.iterdir()) if f"{path.name} (" in text]
    assert text.startswith(f"{len(named):,} of {COUNT:,} images cannot be read")
    assert "unreadable at first" not in text
    for path in named:
        path.unlink()
    accepted = load(f"folder:{tmp_path}", "train").images
    assert len(accepted) == COUNT - len(named) > COUNT / 10
    steps = 2 * len(accepted) // 16
    made = views(accepted, Augmentation(), 16, image_size=32, augment_on="device")
    assert sum(1 for _ in made.take(steps)) == steps
    assert not accepted.unreadable._names
    sizes = [len(batch) for batch in accepted.resized(32)]
    assert sum(sizes) == len(accepted)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(named)} named, {len(accepted)} accepted; {peak:.1f} GiB at most", tf.__version__)
    assert peak < 4
