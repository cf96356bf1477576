"""Batches made on other machines by tf.data service, in the order they have without it."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from keras_simsiam.errors import InputError, LostWorker, is_address

_LOST = 128
"""Batches that may arrive before an earlier one does; then it is taken as lost."""
_HELD = 64
"""Batches that are kept until it is their turn, at most."""
_HELD_BYTES = 2**28
"""Bytes that they may have together; four batches are kept whatever their size."""
_PAUSE = 0.1
"""Seconds to wait before another batch is fetched that there is no room to keep."""
_CONNECT = 10
"""Seconds to wait for the dispatcher."""
_TRIES = 6
"""How often a dispatcher that was restarted is asked for the same batch."""
_SILENCE = 20
"""Seconds without a batch after which it is checked whether the dispatcher still answers."""
_UNANSWERED = 3
"""Checks in a row that fail before the dispatcher is taken as gone."""
_PATIENCE = 30
"""Checks before workers that send nothing are taken as gone."""
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

    The service gives each step to whichever worker is free, so batches arrive in any order, and
    those that arrive early are kept, as far as there is room: `_HELD_BYTES`. The others are made
    here when it is their turn. A worker needs TensorFlow, not this package, and the files whose
    paths are in the dataset. If a worker is gone, its step is lost while the others continue; the
    batches from that step on are then requested again. So they are if the dispatcher was restarted.

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
    room = _room(first.element_spec[1])

    def request(step: int) -> tuple[Iterator, dict[int, Any], set[int]]:
        """What arrives from a step on; what arrived early; and what there was no room for."""
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
                # The last that will be needed is the one to do without.
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
        """The batch of a step. Those of steps that follow one another cost least."""
        if step != self._next:
            self._batches = iter(self._numbered(step))
        self._next = step + 1
        return next(self._batches)[1]


def _room(spec: Any) -> int:
    """How many batches are kept."""
    sizes = [(x.shape.num_elements() or 0) * x.dtype.size for x in tf.nest.flatten(spec)]
    return max(4, min(_HELD, _HELD_BYTES // max(1, sum(sizes))))


def _next(arriving: Iterator, address: str) -> Any:
    """The next batch to arrive.

    Raises:
        LostWorker: If the dispatcher is gone, or sends nothing for long. TensorFlow would wait for
            an hour, during which not even signals are handled.
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
        LostWorker: If it does not, or has failed too often.
    """
    try:
        if failures == _TRIES:
            raise InputError(str(error))
        check(address)
        time.sleep(failures)
    except InputError:
        raise LostWorker(_GONE.format(address)) from error
