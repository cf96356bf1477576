"""Lets tf.data service make batches on other machines, and puts them in order."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from keras_simsiam.errors import InputError, LostWorker, is_address

_LOST = 128
"""A batch is taken as lost after this many later ones have arrived."""
_HELD = 64
"""The most batches that are kept until it is their turn."""
_HELD_BYTES = 2**28
"""The most bytes of the kept batches; four are kept whatever their size."""
_PAUSE = 0.1
"""Seconds to wait, if there is no room for another batch, before the next is fetched."""
_CONNECT = 10
"""Seconds to wait for the dispatcher."""
_TRIES = 6
"""How often the same batch is requested from a dispatcher that was restarted."""
_SILENCE = 20
"""Seconds without a batch after which the dispatcher is checked."""
_UNANSWERED = 3
"""Consecutive failed checks after which the dispatcher is taken as lost."""
_PATIENCE = 30
"""Checks after which workers that send nothing are taken as lost."""
_GONE = "the data service '{}' is gone; start it again and continue with --resume"


def check(address: str) -> None:
    """Raises InputError if no dispatcher answers at an address such as "grpc://10.0.0.1:5000"."""
    import grpc  # a dependency of TensorFlow

    protocol, _, host = address.partition("://")
    if protocol != "grpc" or not is_address(host):
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

    The service gives each step to whichever worker is free, so batches arrive in any order. Early
    ones are kept while there is room (`_HELD_BYTES`); those dropped are made by this process when
    it is their turn. If a worker is lost, so is the batch that it was making; the batches from that
    step on are then requested again, as after a restart of the dispatcher. A worker needs
    TensorFlow, but not this package, and access to the files whose paths are in the dataset.

    Args:
        numbered: Makes the dataset of ``(step, batch)`` from a step on, based on ``Dataset.range``.
        address: Address of the dispatcher, "grpc://HOST:PORT".
        start_step: The first step.

    Returns:
        The batches from `start_step` on, without the step.
    """
    share_out = tf.data.experimental.service.distribute(
        tf.data.experimental.service.ShardingPolicy.DYNAMIC, address
    )
    first = numbered(start_step)
    room = _room(first.element_spec[1])

    def request(step: int) -> tuple[Iterator, dict[int, Any], set[int]]:
        """The batches arriving from a step on, the early ones by step, and the steps dropped."""
        dataset = first if step == start_step else numbered(step)
        return iter(dataset.apply(share_out)), {}, set()

    def in_order() -> Iterator:
        arriving, early, dropped = request(start_step)
        here = _Here(numbered)
        passed = failures = 0
        step = start_step
        while True:
            if step in dropped:
                dropped.discard(step)
                early[step] = here.batch(step)
            if step in early:
                yield early.pop(step)
                step, passed, failures = step + 1, 0, 0
                continue
            if passed == _LOST:
                warnings.warn(
                    f"the data service lost the batch of step {step:,}, because one of its "
                    "workers is gone or very slow; requesting it again",
                    stacklevel=1,
                )
                passed = 0
                arriving, early, dropped = request(step)
            try:
                number, batch = _next(arriving, address)
            except (tf.errors.OpError, StopIteration) as e:
                passed, failures = 0, failures + 1
                _wait_for_dispatcher(address, failures, e)
                arriving, early, dropped = request(step)
                continue
            passed += 1
            if int(number) >= step:
                early[int(number)] = batch
            if len(early) > room:
                # The one that is needed last is dropped.
                dropped.add(max(early))
                del early[max(early)]
                time.sleep(_PAUSE)

    return tf.data.Dataset.from_generator(in_order, output_signature=first.element_spec[1])


class _Here:
    """Makes batches in this process.

    Args:
        numbered: See `distribute`.
    """

    def __init__(self, numbered: Callable[[int], tf.data.Dataset]):
        self._numbered = numbered
        self._next = -1
        self._batches: Iterator = iter(())

    def batch(self, step: int) -> Any:
        """The batch of a step; consecutive steps cost least."""
        if step != self._next:
            self._batches = iter(self._numbered(step))
        self._next = step + 1
        return next(self._batches)[1]


def _room(spec: Any) -> int:
    """The number of batches that there is room to keep."""
    sizes = [(x.shape.num_elements() or 0) * x.dtype.size for x in tf.nest.flatten(spec)]
    return max(4, min(_HELD, _HELD_BYTES // max(1, sum(sizes))))


def _next(arriving: Iterator, address: str) -> Any:
    """The next batch to arrive, fetched in a thread.

    TensorFlow itself would wait for a lost dispatcher for an hour, without handling signals.

    Raises:
        LostWorker: If the dispatcher does not answer, or no batch arrives for ten minutes.
    """
    outcome: list[Any] = []

    def fetch() -> None:
        try:
            outcome.append((next(arriving), None))
        except BaseException as e:
            outcome.append((None, e))

    fetching = threading.Thread(target=fetch, daemon=True)
    fetching.start()
    unanswered = 0
    for _ in range(_PATIENCE):
        fetching.join(_SILENCE)
        if not fetching.is_alive():
            break
        try:
            check(address)
            unanswered = 0
        except InputError:
            unanswered += 1
        if unanswered == _UNANSWERED:
            break
    if not outcome:
        raise LostWorker(_GONE.format(address))
    item, error = outcome[0]
    if error is not None:
        raise error
    return item


def _wait_for_dispatcher(address: str, failures: int, error: Exception) -> None:
    """Waits until the dispatcher answers again.

    Raises:
        LostWorker: If it does not answer, or has failed too often.
    """
    try:
        if failures == _TRIES:
            raise InputError(str(error))
        check(address)
        time.sleep(failures)
    except InputError:
        raise LostWorker(_GONE.format(address)) from error
