"""What Keras 3's `fit` lacks under MultiWorkerMirroredStrategy (keras-team/keras issue 20585).

`tests/training/test_devices.py` has a test that fails when Keras needs this no longer.
"""

from __future__ import annotations

import tensorflow as tf

from keras_simsiam import _compat


class MultiWorkerFit:
    """For a `keras.Model` that is built, its optimisers included, before `fit`."""

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing: Keras would average a batch over all workers to look at its shapes."""

    def make_train_function(self, force=False):
        """A step on all devices, its logs taken from the first of this worker.

        Keras would average scalars over an axis that they do not have.
        """
        strategy = self.distribute_strategy
        several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        if not (several and _compat.KERAS_3):
            return super().make_train_function(force)
        if self.train_function is not None and not force:
            return self.train_function

        @tf.function(reduce_retracing=True)
        def train_function(iterator):
            logs = strategy.run(self.train_step, args=(next(iterator),))
            return {k: strategy.experimental_local_results(v)[0] for k, v in logs.items()}

        self.train_function = train_function
        return train_function
