"""Features for TensorBoard's embedding projector, each shown as its image."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorboard.plugins import projector

_SPRITE = 8192
"""Most pixels of the sprite image a side, which is what browsers take."""


def write(
    folder: str | pathlib.Path,
    features: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    pictures: np.ndarray,
) -> None:
    """Writes a folder for ``tensorboard --logdir``.

    Args:
        folder: Where; files in it are replaced.
        features: float ``[N, D]``.
        labels: int ``[N]``, numbers into `names`.
        names: Of the classes.
        pictures: uint8 ``[N, H, W, 3]``, the images; smaller ones than these where they would not
            fit into one sprite.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(f"{v:.6g}" for v in row) for row in features]
    (folder / "features.tsv").write_text("\n".join(lines) + "\n")
    (folder / "labels.tsv").write_text("\n".join(names[i] for i in labels) + "\n")
    columns = math.ceil(math.sqrt(len(pictures)))
    height, width = pictures.shape[1:3]
    if columns * max(height, width) > _SPRITE:
        height = width = _SPRITE // columns
        pictures = tf.cast(tf.image.resize(pictures, [height, width]), tf.uint8).numpy()
    sprite = np.zeros((columns * height, columns * width, 3), np.uint8)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        sprite[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    tf.io.write_file(str(folder / "sprite.png"), tf.io.encode_png(sprite))
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add()
    embedding.tensor_name = "features"
    embedding.tensor_path, embedding.metadata_path = "features.tsv", "labels.tsv"
    embedding.sprite.image_path = "sprite.png"
    embedding.sprite.single_image_dim.extend([width, height])
    projector.visualize_embeddings(str(folder), config)
