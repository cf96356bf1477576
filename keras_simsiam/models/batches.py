"""What a model is given to train on: batches of views, and how these were made."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from keras_simsiam import _compat
from keras_simsiam.arrays import check_views
from keras_simsiam.errors import InputError, shown
from keras_simsiam.preprocessing import Preprocessing
from keras_simsiam.view_rules import SmallViews

_LARGEST = 100.0
"""No usual normalization gives larger values, and few batches of bytes have only smaller ones."""
_IN_BYTES = (
    "a batch must be normalized views, with values of about -3 to 3; got values above 100. If the "
    "backbone takes images from 0 to 255, set model.preprocessing to "
    "Preprocessing(image_size, mean=(0, 0, 0), std=(1 / 255,) * 3)"
)
_NO_IMAGES = (
    "a batch must have at least as many images as there are devices; got a smaller one, which "
    "Dataset.batch(..., drop_remainder=True) leaves out"
)


def unpacked(data: Any) -> tuple[Any, dict[str, tf.Tensor]]:
    """Splits what Keras passes to a step into the batch and what it says of each image.

    Args:
        data: A batch; or ``{"views": batch, "examples": numbers}``, as of
            ``views(..., numbered=True)``; or ``(x, y, sample_weight)``, as `fit` makes it of
            arrays. x and y are then the views, or x is the batch. What is missing is None, or left
            out at the end.

    Returns:
        The batch; and "examples", int64 ``[B]``, and "sample_weight", float32 ``[B]``, as far as
        they are given.

    Raises:
        InputError: If the weights are not one for each image, or there are labels.
    """
    if isinstance(data, Mapping) and "examples" in data:
        return data["views"], {"examples": data["examples"]}
    if not isinstance(data, tuple | list):
        return data, {}
    if len(data) == 2 and _rank(data[1]) < 3:
        raise InputError(
            "a batch must be views without labels, which dataset.map(lambda views, labels: views) "
            f"leaves out; got labels {shown(data[1])}"
        )
    given = [part for part in data if part is not None]
    also = {}
    if len(given) > 1 and _rank(given[-1]) < 3:
        weights = tf.convert_to_tensor(given.pop())
        if weights.shape.rank != 1:
            raise InputError(
                f"sample_weight must have shape [B], one for each image; got {weights.shape}"
            )
        also["sample_weight"] = weights
    return (given[0] if len(given) == 1 else tuple(given)), also


def _rank(part: Any) -> float:
    """The number of axes of a tensor; infinite for anything else."""
    return len(part.shape) if hasattr(part, "shape") else math.inf


def check(
    batch: Any, count: int | None = None, small_views: SmallViews | None = None, channels: int = 3
) -> None:
    """Raises InputError unless a batch is normalized views, float ``[B, H, W, C]`` each.

    Args:
        batch: The batch.
        count: How many views there must be besides small ones; None for any number.
        small_views: The small views that must follow, if any.
        channels: C, which the backbone takes.
    """
    if isinstance(batch, Mapping):
        raise InputError(
            "augmentation and image_size of the model are required to train on "
            "views(..., augment_on='device'); got None"
        )
    if not isinstance(batch, tuple | list):
        raise InputError(f"a batch must be views (x1, x2); got {shown(batch)}")
    for i, view in enumerate(batch, start=1):
        check_views(view, f"view x{i}", channels)
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


def check_made(made: Any) -> None:
    """Raises InputError unless a method's `forward` returned a scalar and z1 ``[B, d]``."""
    if not isinstance(made, tuple | list) or [*map(_rank, made)] != [0, 2]:
        raise InputError(
            f"forward must return the loss, a scalar, and z1 [B, d]; got {shown(made)}"
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


def parts(
    views: tuple[tf.Tensor, ...], also: dict[str, tf.Tensor], count: int
) -> list[tuple[tuple[tf.Tensor, ...], dict[str, tf.Tensor]]]:
    """Equal parts of a batch: views, and what else is known of their images, of each.

    Every `count`-th image is in a part, so that it has the same images however devices, each of
    which has images that follow one another, share the batch.

    Raises:
        InputError: If the batch is not a multiple of `count`.
    """
    if count == 1:
        return [(views, also)]
    images = views[0].shape[0]
    if images is not None and images % count:
        raise InputError(
            f"a batch must have a multiple of {count} images on each device, to accumulate the "
            f"gradients of {count} parts; got {images}"
        )
    return [
        (tuple(v[i::count] for v in views), {name: v[i::count] for name, v in also.items()})
        for i in range(count)
    ]


def refuse_losses(arguments: Mapping[str, Any]) -> None:
    """Raises InputError if `compile` is given a loss or metrics, which compare with labels."""
    for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
        if given := arguments.get(name):
            raise InputError(
                f"{name} must be None, as the method has its own loss and there are no labels; "
                f"got {shown(given)}"
            )


def refuse_class_weight(arguments: Mapping[str, Any]) -> None:
    """Raises InputError if there are weights of classes."""
    if (given := arguments.get("class_weight")) is not None:
        raise InputError(
            f"class_weight must be None, as there are no labels; use sample_weight; "
            f"got {shown(given)}"
        )


def check_scope(variable: Any) -> None:
    """Raises InputError within the scope of a strategy unless a model's variable was made there."""
    if not tf.distribute.has_strategy():
        return
    strategy = tf.distribute.get_strategy()
    if not strategy.extended.variable_created_in_scope(_compat.tensorflow_variable(variable)):
        raise InputError(
            f"the model must be created within the scope of {type(strategy).__name__}; "
            "it was created outside"
        )


def none_empty(
    views: tuple[tf.Tensor, ...], share: tf.Tensor | float, compiled: bool
) -> tuple[tf.Tensor, ...]:
    """The views. Fails in the step if this device has none, of which BatchNorm would make NaN.

    Args:
        views: The views.
        share: See `keras_simsiam.models.objectives.share`.
        compiled: Whether XLA compiles the step, which cannot fail.
    """
    if not isinstance(share, tf.Tensor) or compiled:
        return views
    return _asserted(views, share > 0, _NO_IMAGES)


def none_in_bytes(views: tuple[tf.Tensor, ...], compiled: bool) -> tuple[tf.Tensor, ...]:
    """The views. Fails in the step if they have values up to 255, which nothing normalized.

    Args:
        views: The views.
        compiled: Whether XLA compiles the step, which cannot fail.
    """
    if compiled:
        return views
    # NaN is not larger; the loss tells of it.
    large = tf.reduce_any([tf.reduce_any(view > _LARGEST) for view in views])
    return _asserted(views, tf.logical_not(large), _IN_BYTES)


def _asserted(
    views: tuple[tf.Tensor, ...], holds: tf.Tensor, message: str
) -> tuple[tf.Tensor, ...]:
    """The views, if a condition holds: what is computed of them comes after the assertion."""
    with tf.control_dependencies([tf.debugging.Assert(holds, [message])]):
        return tuple(map(tf.identity, views))


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Raises InputError in place of the errors of `none_empty` and `none_in_bytes`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as e:
        said = next((message for message in (_NO_IMAGES, _IN_BYTES) if message in str(e)), None)
        if said is None:
            raise
    else:
        return
    raise InputError(said)


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
    if known is not None:  # views do not say what range the values in files had
        made = made.replace(low=known.low, high=known.high)
    if known not in (None, made):
        raise InputError(
            f"views must be made by the model's preprocessing, {known}; got {made}. To train on "
            "them all the same, set model.preprocessing to theirs"
        )
    return made
