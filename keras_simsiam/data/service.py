"""Batches made on other machines by tf.data service, in the order they have without it."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from keras_simsiam.errors import InputError

_HELD = 64
"""Batches that wait for an earlier one before fetching slows down; at twice as many, the earlier
one is taken as lost."""
_PAUSE = 0.5
"""Seconds between two batches then."""
_CONNECT = 10
"""Seconds to wait for the dispatcher."""


def check(address: str) -> None:
    """Raises InputError if no dispatcher answers at an address such as "grpc://10.0.0.1:5000"."""
    import grpc  # a dependency of TensorFlow

    protocol, _, host = address.partition("://")
    if protocol != "grpc" or not host.rpartition(":")[2].isdigit():
        raise InputError(
            f"data_service must be an address such as grpc://10.0.0.1:5000; got '{address}'"
        )
    with grpc.insecure_channel(host) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=_CONNECT)
        except grpc.FutureTimeoutError:
            raise InputError(
                f"data_service '{address}' did not answer within {_CONNECT} seconds; check that "
                "its dispatcher is running and that this machine can reach it"
            ) from None


def distribute(
    numbered: Callable[[int], tf.data.Dataset], address: str, start_step: int
) -> tf.data.Dataset:
    """Lets a tf.data service make the batches, and yields them in order.

    The service gives each step to whichever worker is free, so batches arrive in any order. A
    worker needs TensorFlow, not this package, and the files whose paths are in the dataset. If a
    worker is gone, its step is lost while the others continue; the batches from that step on are
    then requested again.

    Args:
        numbered: Gives ``(step, batch)`` from a step on, built on ``Dataset.range``.
        address: The dispatcher's, "grpc://HOST:PORT".
        start_step: The first step.

    Returns:
        The batches from `start_step` on, without the step.
    """
    share_out = tf.data.experimental.service.distribute(
        tf.data.experimental.service.ShardingPolicy.DYNAMIC, address
    )
    first = numbered(start_step)

    def in_order() -> Iterator:
        arriving = iter(first.apply(share_out))
        early: dict[int, Any] = {}
        for step in itertools.count(start_step):
            while step not in early:
                if len(early) >= 2 * _HELD:
                    warnings.warn(
                        f"the data service lost the batch of step {step:,}, because one of its "
                        "workers is gone or very slow; requesting it again",
                        stacklevel=1,
                    )
                    arriving, early = iter(numbered(step).apply(share_out)), {}
                if len(early) >= _HELD:
                    time.sleep(_PAUSE)
                arrived, batch = next(arriving)
                early[int(arrived)] = batch
            yield early.pop(step)

    return tf.data.Dataset.from_generator(in_order, output_signature=first.element_spec[1])
