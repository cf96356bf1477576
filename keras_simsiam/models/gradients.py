"""What is done about gradients that are not finite, and the scale of the loss in float16."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

NOT_FINITE = "a gradient is not finite, first that of"
"""How the error of a step begins whose gradients cannot be applied."""


def checked(gradients: list[list], paths: list[str], optimizer, raises: bool) -> list[list]:
    """The gradients, after a check that all of them are finite.

    If one is not, and the optimizer scales the loss, all become NaN, so that every optimizer skips
    the step; otherwise it is an error that names the first such variable.

    Args:
        gradients: A list for each optimizer. None, of a variable that the loss does not depend on,
            stays None, of which Keras warns.
        paths: Names of the variables, in one list.
        optimizer: One of the optimizers.
        raises: Whether an error is possible; XLA cannot raise any.
    """
    there = {i: g for i, g in enumerate(tf.nest.flatten(gradients)) if g is not None}
    if not there:
        return gradients
    finite = tf.stack([tf.reduce_all(tf.math.is_finite(g)) for g in there.values()])
    if isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        # Each optimizer looks at its own gradients; all must skip the same steps to keep the same
        # scale.
        all_finite = tf.reduce_all(finite)
        nan = float("nan")
        there = {i: tf.where(all_finite, g, tf.constant(nan, g.dtype)) for i, g in there.items()}
    elif raises:
        first = tf.gather([paths[i] for i in there], tf.argmin(tf.cast(finite, tf.int32)))
        check = tf.debugging.Assert(tf.reduce_all(finite), [NOT_FINITE, first])
        with tf.control_dependencies([check] if check is not None else []):
            there = {i: tf.identity(g) for i, g in there.items()}
    return tf.nest.pack_sequence_as(gradients, [there.get(i) for i in range(len(paths))])


def averaged(
    step: Callable[[tuple, dict], tuple[tf.Tensor, tf.Tensor, list[list]]],
    parts: Sequence[tuple[tuple, dict]],
) -> tuple[tf.Tensor, tf.Tensor, list[list]]:
    """Loss and gradients averaged over the parts of a batch, and z1 of all of its images.

    A part is computed when the one before it is done, so that only one is in memory.

    Args:
        step: Loss, z1 and gradients, in lists as for `checked`, of views and what else is known.
        parts: Views, and what else is known of them, of each part.
    """
    losses, projections = [], []
    sums: list[tf.Tensor | None] = []
    nested: list[list] = []
    for views, also in parts:
        with tf.control_dependencies([s for s in sums if s is not None]):
            views = tuple(map(tf.identity, views))
        loss, z1, nested = step(views, also)
        losses.append(loss)
        projections.append(z1)
        flat = tf.nest.flatten(nested)
        pairs = zip(sums, flat, strict=True) if sums else ()
        sums = [g if s is None else s + g for s, g in pairs] or flat
    if len(parts) == 1:
        return losses[0], projections[0], nested
    means = [None if s is None else s / len(parts) for s in sums]
    mean = tf.add_n(losses) / len(parts)
    return mean, tf.concat(projections, axis=0), tf.nest.pack_sequence_as(nested, means)


def with_loss_scale(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer, scaling the loss."""
    if isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        return optimizer
    return keras.mixed_precision.LossScaleOptimizer(optimizer)
