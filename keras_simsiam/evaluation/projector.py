"""Writes features for TensorBoard's embedding projector, which shows each as its image."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorboard.plugins import projector

from keras_simsiam.errors import printable
from keras_simsiam.files import write_text, written_atomically

_SPRITE = 8192
"""Largest side in pixels of a sprite image that browsers accept."""


def write(
    folder: str | pathlib.Path,
    features: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    pictures: np.ndarray,
) -> None:
    """Writes a folder for ``tensorboard --logdir``.

    Args:
        folder: The folder. Existing files are replaced.
        features: float ``[N, D]``.
        labels: int ``[N]``, indices into `names`.
        names: Names of the classes.
        pictures: uint8 ``[N, H, W, 3]``, the images. They are resized if they would not fit into
            one sprite image.
    """
    folder = pathlib.Path(folder)
    lines = ["\t".join(f"{v:.6g}" for v in row) for row in features]
    write_text(folder / "features.tsv", "\n".join(lines) + "\n")
    write_text(folder / "labels.tsv", "\n".join(printable(names[i]) for i in labels) + "\n")
    columns = math.ceil(math.sqrt(len(pictures)))
    height, width = pictures.shape[1:3]
    if columns * max(height, width) > _SPRITE:
        height = width = _SPRITE // columns
        pictures = tf.cast(tf.image.resize(pictures, [height, width]), tf.uint8).numpy()
    sprite = np.zeros((columns * height, columns * width, 3), np.uint8)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        sprite[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    with written_atomically(folder / "sprite.png") as partial:
        partial.write_bytes(tf.io.encode_png(sprite).numpy())
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add()
    embedding.tensor_name = "features"
    embedding.tensor_path, embedding.metadata_path = "features.tsv", "labels.tsv"
    embedding.sprite.image_path = "sprite.png"
    embedding.sprite.single_image_dim.extend([width, height])
    write_text(folder / "projector_config.pbtxt", str(config))
