"""The bundled dataset: patches of the 18 photographs and textures in scikit-image.

Nothing is downloaded. Source and terms of each picture, from scikit-image's documentation:

| class | picture | source and terms |
|---|---|---|
| astronaut | Eileen Collins | NASA Great Images; public domain |
| brick | brick wall | CC0 Textures, Bricks 25; CC0 |
| camera | photographer with a camera | Lav Varshney; CC0 |
| cell | cell in saline, phase image | Müller and others 2018; CC0 |
| chelsea | tabby cat | Stéfan van der Walt; CC0 |
| clock | clock in motion blur | Stéfan van der Walt; public domain |
| coffee | cup of coffee | Rachel Michetti, courtesy of Pikolo Espresso Bar; CC0 |
| coins | Greek coins from Pompeii | Brooklyn Museum; no known copyright restrictions |
| grass | lawn | CC0 photograph listed in `skimage.data.grass`; CC0 |
| gravel | gravel | CC0 Textures, Gravel 04; CC0 |
| hubble_deep_field | Hubble eXtreme Deep Field | NASA, HubbleSite; public domain |
| immunohistochemistry | colonic glands, stained | CMMI; no known copyright restrictions |
| moon | surface of the Moon | bundled with scikit-image, which names no restriction |
| motorcycle | motorcycle, left image of a pair | Middlebury Stereo 2014 benchmark |
| page | scanned page of print | bundled with scikit-image, which names no restriction |
| retina | fundus of an eye | Mikael Häggström; CC0 |
| rocket | launch of DSCOVR | SpaceX; public domain |
| text | lines of print | Wikipedia; public domain |
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import skimage.color
import skimage.data
from PIL import Image

from keras_simsiam.data.dataset import Dataset
from keras_simsiam.errors import check_choice


def _photo(name: str) -> np.ndarray:
    if name == "motorcycle":
        return skimage.data.stereo_motorcycle()[0]
    return getattr(skimage.data, name)()


_NAMES = (
    *("astronaut", "brick", "camera", "cell", "chelsea", "clock", "coffee", "coins", "grass"),
    *("gravel", "hubble_deep_field", "immunohistochemistry", "moon", "motorcycle", "page"),
    *("retina", "rocket", "text"),
)
PHOTOS = {name: functools.partial(_photo, name) for name in _NAMES}

SHORT_SIDE = 256  # pixels, of a photo
PATCH_SIDE = 32  # pixels
TRAIN_PART = 0.6  # of each photo's width, from the left
PER_PHOTO = {"train": 300, "test": 60}


def read(name: str, split: str, data_dir: str | None = None) -> Dataset:
    """Cuts the patches of a split from the photos; the label of a patch is its photo's number.

    Photos are scaled to a short side of 256 pixels. Training patches are from the left 60% of each
    photo and test patches from the right 40%, so no pixel is in both; patches of one split may
    overlap. They are the same each time.

    Args:
        name: Not used.
        split: "train" or "test"; "validation" is the test split.
        data_dir: Not used.

    Returns:
        Images uint8 ``[N, 32, 32, 3]``, labels and class names; 300 patches of each photo for
        training and 60 for testing.

    Raises:
        InputError: If the split is unknown.
    """
    split = "test" if split == "validation" else split
    check_choice("split", split, PER_PHOTO)
    # The stream of RandomState is the same in all versions of NumPy.
    random = np.random.RandomState({"train": 0, "test": 1}[split])
    images = [
        patch
        for photo in PHOTOS.values()
        for patch in _patches(_part(_scaled(photo()), split), PER_PHOTO[split], random)
    ]
    labels = np.repeat(np.arange(len(PHOTOS), dtype=np.int64), PER_PHOTO[split])
    return Dataset(np.stack(images), labels, tuple(PHOTOS))


def _scaled(photo: np.ndarray) -> np.ndarray:
    """Converts to RGB and scales to a short side of 256 pixels."""
    rgb = skimage.color.gray2rgb(photo) if photo.ndim == 2 else photo
    height, width = rgb.shape[:2]
    scale = SHORT_SIDE / min(height, width)
    size = (round(width * scale), round(height * scale))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))


def _part(photo: np.ndarray, split: str) -> np.ndarray:
    border = int(photo.shape[1] * TRAIN_PART)
    return photo[:, :border] if split == "train" else photo[:, border:]


def _patches(photo: np.ndarray, count: int, random: np.random.RandomState) -> Iterator[np.ndarray]:
    for _ in range(count):
        y = random.randint(0, photo.shape[0] - PATCH_SIDE + 1)
        x = random.randint(0, photo.shape[1] - PATCH_SIDE + 1)
        yield photo[y : y + PATCH_SIDE, x : x + PATCH_SIDE]
