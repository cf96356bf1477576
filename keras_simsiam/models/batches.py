"""What a model is given to train on: batches of views, and how these were made."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from keras_simsiam.arrays import check_views
from keras_simsiam.errors import InputError, shown
from keras_simsiam.preprocessing import Preprocessing
from keras_simsiam.view_rules import SmallViews

_NO_IMAGES = (
    "a batch must have at least as many images as there are devices; got a smaller one, which "
    "Dataset.batch(..., drop_remainder=True) leaves out"
)


def unpacked(data: Any) -> tuple[Any, dict[str, tf.Tensor]]:
    """The batch in what Keras passes to a step, and what else it says of each image.

    Args:
        data: A batch; or ``{"views": batch, "examples": numbers}``, as of
            ``views(..., numbered=True)``; or ``(x, y, sample_weight)``, as `fit` makes it of
            arrays. x and y are then the views, or x is the batch. What is missing is None, or left
            out at the end.

    Returns:
        The batch; and "examples", int64 ``[B]``, and "sample_weight", float32 ``[B]``, as far as
        they are given.

    Raises:
        InputError: If the weights are not one for each image.
    """
    if isinstance(data, Mapping) and "examples" in data:
        return data["views"], {"examples": data["examples"]}
    if not isinstance(data, tuple | list):
        return data, {}
    given = [part for part in data if part is not None]
    also = {}
    if len(given) > 1 and len(getattr(given[-1], "shape", "none")) < 3:
        weights = tf.convert_to_tensor(given.pop())
        if weights.shape.rank != 1:
            raise InputError(
                f"sample_weight must have shape [B], one for each image; got {weights.shape}"
            )
        also["sample_weight"] = weights
    return (given[0] if len(given) == 1 else tuple(given)), also


def check(batch: Any, count: int | None = None, small_views: SmallViews | None = None) -> None:
    """Raises InputError unless a batch is normalized views, float ``[B, H, W, 3]`` each.

    Args:
        batch: The batch.
        count: How many views there must be besides small ones; None for any number.
        small_views: The small views that must follow, if any.
    """
    if isinstance(batch, Mapping):
        raise InputError(
            "augmentation and image_size of the model are required to train on "
            "views(..., augment_on='device'); got None"
        )
    if not isinstance(batch, tuple | list):
        raise InputError(f"a batch must be views (x1, x2); got {shown(batch)}")
    for i, view in enumerate(batch, start=1):
        check_views(view, f"view x{i}")
    small = small_views.count if small_views else 0
    if count is not None and len(batch) != count + small:
        also = f" and {small} small ones" if small else ""
        raise InputError(f"a batch must have {count} views{also}; got {len(batch)}")
    if small_views is not None:
        size = small_views.size
        for i, view in list(enumerate(batch, start=1))[-small:]:
            if any(side not in (None, size) for side in view.shape[1:3]):
                raise InputError(
                    f"view x{i} must be small, {size}×{size} pixels; got {shown(view)}"
                )


def known_to(forward: Callable, also: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """What a method's `forward` takes of what `unpacked` found beside the batch.

    Raises:
        InputError: If there are weights, and it takes none.
    """
    taken = inspect.signature(forward).parameters
    if "sample_weight" in also and "sample_weight" not in taken:
        raise InputError(
            "sample_weight must be None for a method whose forward has no such argument"
        )
    return {name: value for name, value in also.items() if name in taken}


def refuse_class_weight(arguments: Mapping[str, Any]) -> None:
    """Raises InputError if there are weights of classes."""
    if (given := arguments.get("class_weight")) is not None:
        raise InputError(
            f"class_weight must be None, as there are no labels; use sample_weight; "
            f"got {shown(given)}"
        )


def assert_images(share: tf.Tensor | float, compiled: bool) -> None:
    """Fails in the step if this device has no images, of which BatchNorm would make NaN.

    Args:
        share: See `keras_simsiam.models.objectives.share`.
        compiled: Whether XLA compiles the step, which cannot fail.
    """
    if isinstance(share, tf.Tensor) and not compiled:
        tf.debugging.Assert(share > 0, [_NO_IMAGES])


@contextlib.contextmanager
def enough_images() -> Iterator[None]:
    """Raises InputError in place of the error of `assert_images`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as e:
        if _NO_IMAGES not in str(e):
            raise
    else:
        return
    raise InputError(_NO_IMAGES)


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
