"""What a model is given to train on: batches of views, and how these were made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_simsiam.arrays import check_views
from keras_simsiam.errors import InputError, shown
from keras_simsiam.preprocessing import Preprocessing


def check(batch: Any) -> None:
    """Raises InputError unless a batch is normalized views, float ``[B, H, W, 3]`` each."""
    if isinstance(batch, Mapping):
        raise InputError(
            "augmentation and image_size of the model are required to train on "
            "views(..., augment_on='device'); got None"
        )
    if not isinstance(batch, tuple | list):
        raise InputError(f"a batch must be views (x1, x2); got {shown(batch)}")
    for i, view in enumerate(batch, start=1):
        check_views(view, f"view x{i}")


def agreed(
    made: Preprocessing, known: Preprocessing | None, assumed: Preprocessing | None
) -> Preprocessing:
    """The preprocessing of a model that is to be trained on views.

    Args:
        made: The preprocessing by which the views were made.
        known: The model's; None if it has none yet.
        assumed: A preprocessing of which only the image size is known.

    Raises:
        InputError: If the two differ.
    """
    if known is not None and known == assumed:
        known = made.replace(image_size=known.image_size)
    if known not in (None, made):
        raise InputError(
            f"views must be made by the model's preprocessing, {known}; got {made}. To train on "
            "them all the same, set model.preprocessing to theirs"
        )
    return made
