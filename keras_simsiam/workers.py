"""The processes that compute something together, on one machine or several."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import tensorflow as tf

from keras_simsiam.errors import LostWorker, first_line

Result = TypeVar("Result")

_LONGEST_TEXT = 4096  # bytes

_AT_ONCE = 2**26  # bytes that each worker sends


class Workers:
    """Processes that each compute a share of something, and exchange what they found.

    Args:
        strategy: TensorFlow's strategy, which knows the processes. By default, and for a strategy
            of one machine, this process is alone.

    Attributes:
        index: The number of this process. The first, 0, is the chief, which writes files.
        count: The number of processes.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None):
        self.index, self.count = 0, 1
        self._strategy = strategy
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            # Those of the cluster in their order: a chief, if there is one, then the workers.
            resolver = strategy.cluster_resolver
            tasks = resolver.cluster_spec().as_dict() or {"worker": [""]}
            self.count = sum(map(len, tasks.values()))
            self.index = resolver.task_id or 0
            if resolver.task_type != "chief":
                self.index += len(tasks.get("chief", ()))

    @property
    def chief(self) -> bool:
        """Whether this process writes the files, as the first of several or the only one."""
        return self.index == 0

    @property
    def share(self) -> slice:
        """Of a sequence, the part of this process: every `count`-th element."""
        return slice(self.index, None, self.count)

    def sharing(self, count: int) -> Workers:
        """These, or this process alone where there are fewer elements than processes."""
        return self if count >= self.count else ALONE

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """The rows of all processes, those of each in its turn.

        Args:
            rows: Numbers of 4 or 8 bytes ``[n, …]``; only n may differ between the processes.
        """
        if self._strategy is None or self.count == 1:
            return rows
        # As floats, which all ways of communication can gather, and in one dimension, so that one
        # function does.
        sent = np.ascontiguousarray(rows).reshape(-1).view(np.float32)
        gathered = _gather(self._strategy)(
            self._strategy.experimental_distribute_values_from_function(
                # Those of a process once, however many devices it has.
                lambda context: tf.constant(sent if self._is_first(context) else sent[:0])
            )
        )
        found = self._strategy.experimental_local_results(gathered)[0].numpy()
        return found.view(rows.dtype).reshape([-1, *rows.shape[1:]])

    def interleave(self, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Puts together what each process has computed of its `share`, a block at a time.

        Args:
            rows: The rows of this process.
            out: An array that is filled with all rows.

        Returns:
            `out`.
        """
        block = max(1, _AT_ONCE // (out.nbytes // len(out)))
        for start in range(0, -(-len(out) // self.count), block):
            into = out[start * self.count : (start + block) * self.count]
            found, done = self.gather(rows[start : start + block]), 0
            for i in range(self.count):
                part = into[i :: self.count]
                part[:] = found[done : done + len(part)]
                done += len(part)
        return out

    @contextlib.contextmanager
    def agreed(self) -> Iterator[None]:
        """Ends all processes if one of them raises an error in the block.

        They wait for each other at the end of the block, and must not wait for each other within
        it.

        Raises:
            LostWorker: If another process raised an error, with the message of that.
        """
        error: Exception | None = None
        try:
            yield
        except Exception as e:
            error = e
        refusals: list[str] = []
        # A process may also be lost, which is an error only for those that do not raise one anyway.
        with contextlib.suppress(*(() if error is None else (tf.errors.OpError,))):
            refusals = self._texts(first_line(error) if error else "")
        if any(refusals):
            # A process must not end before all have read the messages; but it may have ended.
            with contextlib.suppress(tf.errors.OpError):
                self._texts("")
        if error is not None:
            raise error
        if any(refusals):
            raise LostWorker(next(filter(None, refusals)))

    def chief_first(self, work: Callable[[], Result]) -> Result:
        """What `work` returns in each process; the others start it when the chief is done.

        So they find in a cache what the chief has put there.

        Raises:
            LostWorker: If it raised an error in another process.
        """
        for turn in (True, False):
            with self.agreed():
                if self.chief == turn:
                    result = work()
        return result

    def _texts(self, text: str) -> list[str]:
        """A short text of each process, in their order."""
        raw = text.encode(errors="replace")[:_LONGEST_TEXT]
        padded = np.frombuffer(raw.ljust(_LONGEST_TEXT, b"\0"), np.uint8).astype(np.int32)
        rows = self.gather(padded[None]).astype(np.uint8)
        return [row.tobytes().rstrip(b"\0").decode(errors="replace") for row in rows]

    def _is_first(self, context: tf.distribute.ValueContext) -> bool:
        return context.replica_id_in_sync_group % (context.num_replicas_in_sync // self.count) == 0


ALONE = Workers()
"""This process, which computes everything by itself."""


@functools.cache  # because TensorFlow warns of functions that are traced again and again
def _gather(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function that concatenates the tensors of all devices of all processes."""

    def gather(rows: tf.Tensor) -> tf.Tensor:
        # An argument has no device yet, and all_gather gathers to that of what it is given.
        return tf.distribute.get_replica_context().all_gather(tf.identity(rows), axis=0)

    return tf.function(lambda rows: strategy.run(gather, [rows]), reduce_retracing=True)
