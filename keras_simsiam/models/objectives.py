"""What is computed of representations: similarities, and how far they spread."""

from __future__ import annotations

import functools

import tensorflow as tf

from keras_simsiam.fields import choices
from keras_simsiam.model_settings import Model


def negative_cosine_similarity(
    p: tf.Tensor, z: tf.Tensor, sample_weight: tf.Tensor | None = None
) -> tf.Tensor:
    """D(p, z) of the paper's equation 1, averaged over the batch.

    Args:
        p: ``[B, d]``, a prediction.
        z: ``[B, d]``, its target.
        sample_weight: ``[B]``, by which each D(p, z) is multiplied first; None for 1.

    Returns:
        A scalar in [-1, 1], -1 if every p has the direction of its z. It is float32 if p and z
        have half precision, else of their dtype.
    """
    p, z = normalized(p), normalized(z)
    return -_mean(tf.reduce_sum(p * z, axis=1), sample_weight)


def softmax_cross_entropy(
    p: tf.Tensor, z: tf.Tensor, sample_weight: tf.Tensor | None = None
) -> tf.Tensor:
    """Cross-entropy between softmax(p) and its target softmax(z), averaged (paper, Section 4.5).

    Args:
        p: ``[B, d]``, a prediction.
        z: ``[B, d]``, its target.
        sample_weight: As for `negative_cosine_similarity`.

    Returns:
        A non-negative scalar, log d if both are uniform; at least float32.
    """
    p, z = at_least_float32(p), at_least_float32(z)
    return _mean(tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(z), p), sample_weight)


_FUNCTIONS = {"cosine": negative_cosine_similarity, "cross_entropy": softmax_cross_entropy}
SIMILARITIES = {name: _FUNCTIONS[name] for name in choices(Model, "similarity")}
"""What the loss measures between a prediction and its target, by name."""


def z_std(z: tf.Tensor) -> tf.Tensor:
    """How far z spreads: 0 if collapsed, 1 if uniform on the sphere (paper, Section 4.1).

    Args:
        z: ``[B, d]``.

    Returns:
        A scalar: the standard deviation of each dimension of z / |z| over the batch of all
        replicas, averaged over dimensions and multiplied by √d.
    """
    z = normalized(z)
    root_d = tf.sqrt(tf.cast(tf.shape(z)[1], z.dtype))
    part = share(z)
    mean = mean_over_replicas(tf.reduce_mean(z, axis=0), part)
    variance = mean_over_replicas(tf.reduce_mean(tf.square(z - mean), axis=0), part)
    return root_d * tf.reduce_mean(tf.sqrt(variance))


def second_moments(
    a: tf.Tensor, b: tf.Tensor, share: tf.Tensor | float
) -> tuple[tf.Tensor, tf.Tensor]:
    """The diagonal of C = aᵀ b / N over the whole batch, and how large C is beside it.

    Args:
        a: ``[B, d]``, of this device's images.
        b: ``[B, d]``.
        share: What `share` says of these images.

    Returns:
        C_ii ``[d]``; and the sum over i ≠ j of C_ij², a scalar, to be averaged over the devices.
    """
    count, dim = a.shape
    if count is not None and 2 * count * replicas() <= dim:
        # The sum of all C_ij² is that of (a aᵀ) ∘ (b bᵀ) / N², which are N × N and not d × d.
        of_a = tf.matmul(a, of_whole_batch(a), transpose_b=True)
        of_b = of_a if b is a else tf.matmul(b, of_whole_batch(b), transpose_b=True)
        squares = tf.reduce_sum(of_a * of_b) / (count**2 * replicas())
        diagonal = mean_over_replicas(tf.reduce_mean(a * b, axis=0), share)
    else:
        local = tf.cast(tf.shape(a)[0], a.dtype)
        c = mean_over_replicas(tf.matmul(a, b, transpose_a=True) / local, share)
        squares, diagonal = tf.reduce_sum(tf.square(c)), tf.linalg.diag_part(c)
    return diagonal, squares - tf.reduce_sum(tf.square(diagonal))


def normalized(v: tf.Tensor) -> tf.Tensor:
    """v / |v| along the last axis; at least float32."""
    return tf.math.l2_normalize(at_least_float32(v), axis=-1)


def replicas() -> int:
    """Number of devices that share the batch."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def share(batch: tf.Tensor) -> tf.Tensor | float:
    """This device's share of a batch as a multiple of an equal one: a float32 scalar.

    It is 1 where the number of images is static, as in batches that Keras splits evenly.
    """
    if not _in_replica() or batch.shape[0] is not None:
        return 1.0
    count = tf.cast(tf.shape(batch)[0], tf.float32)
    return count / mean_over_replicas(count)


def mean_over_replicas(value: tf.Tensor, share: tf.Tensor | float = 1.0) -> tf.Tensor:
    """The mean of a value over all devices, on each of them.

    Outside of the devices' own computation, as in callbacks, there is only one value.

    Args:
        value: The value, the mean over this device's images.
        share: What `share` says of them. If it is 0, the value may be NaN.
    """
    if not _in_replica():
        return value
    if isinstance(share, tf.Tensor):
        value = tf.math.multiply_no_nan(value, tf.cast(share, value.dtype))
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, value)


def of_whole_batch(local: tf.Tensor) -> tf.Tensor:
    """The rows of all devices, ``[B, d]``, in their order; gradients reach each device's own.

    Args:
        local: The rows of this device ``[B / devices, d]``.
    """
    if not _in_replica():
        return local
    # Not all_gather, which fails in a process with a single device ("destinations can not be
    # empty"): each device adds its rows to zeros.
    summed = functools.partial(
        tf.distribute.get_replica_context().all_reduce, tf.distribute.ReduceOp.SUM
    )
    static = local.shape[0]
    count = summed(tf.shape(local)[0]) if static is None else static * replicas()
    return summed(tf.scatter_nd(own_rows(local)[:, None], local, [count, *local.shape[1:]]))


def own_rows(local: tf.Tensor) -> tf.Tensor:
    """The positions of this device's rows in the whole batch, int32 ``[B / devices]``."""
    count = tf.shape(local)[0]
    if not _in_replica():
        return tf.range(count)
    replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
    if local.shape[0] is not None:
        return replica * count + tf.range(count)
    counts = of_whole_batch(count[None])  # the last batch may leave the devices unequal
    return tf.reduce_sum(counts[:replica]) + tf.range(count)


def _in_replica() -> bool:
    """Whether this is the computation of one of several devices."""
    return replicas() > 1 and not tf.distribute.in_cross_replica_context()


def _mean(values: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """The mean of values ``[B]``, weighted ones if there are weights."""
    if weights is not None:
        values *= tf.cast(weights, values.dtype)
    return tf.reduce_mean(values)


def at_least_float32(v: tf.Tensor) -> tf.Tensor:
    """A tensor of half precision as float32; others as they are."""
    return tf.cast(v, tf.float32) if v.dtype in (tf.float16, tf.bfloat16) else v
