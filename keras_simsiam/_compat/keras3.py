"""Keras 3. See `keras_simsiam._compat`."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

ONLY_FIRST_REPLICA = "only_first_replica"
"""Aggregation of variables that are equal on all devices."""

BatchNormalization = keras.layers.BatchNormalization
SGD = keras.optimizers.SGD


def path_of(variable) -> str:
    """The name of a weight, prefixed by those of its layers."""
    return variable.path


def tensorflow_variable(variable) -> tf.Variable:
    """The TensorFlow variable of a Keras weight."""
    return variable.value


def learning_rate(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """The learning rate of the next step."""
    return tf.identity(optimizer.learning_rate)


def build(optimizer: keras.optimizers.Optimizer, variables: list) -> None:
    """Creates an optimizer's variables."""
    optimizer.build(variables)


def scale_loss(optimizer: keras.optimizers.Optimizer, loss: tf.Tensor) -> tf.Tensor:
    """The loss to differentiate: scaled if the optimizer scales it."""
    return optimizer.scale_loss(loss)


def loss_scale(optimizer: keras.mixed_precision.LossScaleOptimizer) -> tf.Variable:
    """The factor by which the loss is multiplied."""
    return optimizer.dynamic_scale


def apply_gradients(optimizer: keras.optimizers.Optimizer, gradients: list, variables: list):
    """Updates variables by gradients of what `scale_loss` returned."""
    optimizer.apply_gradients(zip(gradients, variables, strict=True))


def synchronize(layer: keras.layers.BatchNormalization) -> None:
    """Makes a layer see the batch of all devices."""
    layer.synchronized = True


class Mean(keras.metrics.Mean):
    """A mean of values that are equal on all devices.

    Keras's own metric is summed over all workers when it is read, so a worker that reads it alone
    would wait forever.
    """

    def add_variable(self, *args, aggregation=ONLY_FIRST_REPLICA, **kwargs):
        return super().add_variable(*args, aggregation=aggregation, **kwargs)


class Model(keras.Model):
    """A `keras.Model` that is built, optimizers included, before `fit`.

    It adds what `fit` lacks under MultiWorkerMirroredStrategy (keras-team/keras issue 20585);
    `tests/training/test_devices.py` has a test that fails when Keras no longer needs it.
    """

    train_function: Callable | None

    def save_own_variables(self, store):
        """Writes what Keras leaves out: how far the draws are of layers such as Dropout."""
        super().save_own_variables(store)
        for name, state in self._draws().items():
            store[name] = state.numpy()

    def load_own_variables(self, store):
        """Reads what `save_own_variables` wrote, as far as a file has it."""
        draws, there = self._draws(), set(store.keys())
        super().load_own_variables({k: store[k] for k in there - draws.keys()})
        for name in there & draws.keys():
            draws[name].assign(store[name])

    def _draws(self) -> dict[str, keras.Variable]:
        generators = (g for layer in self._flatten_layers() for g in layer._seed_generators)
        return {f"draws_{i}": g.state for i, g in enumerate(generators)}

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing: Keras would average a batch over all workers to look at its shapes."""

    def make_train_function(self, force=False):
        """A step on all devices that returns the logs of this worker's first device.

        Keras would average them over an axis that scalars do not have.
        """
        strategy = self.distribute_strategy
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return super().make_train_function(force)
        if self.train_function is not None and not force:
            return self.train_function

        @tf.function(reduce_retracing=True)
        def train_function(iterator):
            logs = strategy.run(self.train_step, args=(next(iterator),))
            return {k: strategy.experimental_local_results(v)[0] for k, v in logs.items()}

        self.train_function = train_function
        return train_function


def sgdw(learning_rate, momentum: float, weight_decay: float, name: str):
    """SGD with a weight decay of learning rate × λ w, decoupled from the momentum."""
    return SGD(learning_rate, momentum, weight_decay=weight_decay or None, name=name)


@keras.saving.register_keras_serializable("keras_simsiam")
class LAMB(keras.optimizers.Lamb):
    """LAMB as published (You et al. 2020), with λ w in the step whose size is adapted.

    Keras's own LAMB decouples the decay.
    """

    def __init__(self, learning_rate=0.001, weight_decay: float = 0.0, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.inner_weight_decay = weight_decay

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable in place."""
        step = tf.cast(self.iterations + 1, variable.dtype)
        rate = tf.cast(learning_rate, variable.dtype)
        i = self._get_variable_index(variable)
        m, v = self._momentums[i], self._velocities[i]
        self.assign(m, self.beta_1 * m + (1 - self.beta_1) * gradient)
        self.assign(v, self.beta_2 * v + (1 - self.beta_2) * tf.square(gradient))
        update = m / (1 - self.beta_1**step)
        update /= tf.sqrt(v / (1 - self.beta_2**step)) + self.epsilon
        update += self.inner_weight_decay * variable
        variable_norm, update_norm = tf.norm(variable), tf.norm(update)
        ratio = variable_norm / update_norm
        adapted = (variable_norm > 0) & (update_norm > 0)
        self.assign_sub(variable, tf.where(adapted, ratio, tf.ones_like(ratio)) * rate * update)

    def get_config(self) -> dict:
        """The arguments of the constructor, for Keras."""
        return {**super().get_config(), "weight_decay": self.inner_weight_decay}


def lamb(learning_rate, momentum: float, weight_decay: float, name: str):
    """LAMB with the momentum as its β₁."""
    return LAMB(learning_rate, weight_decay, beta_1=momentum, epsilon=1e-6, name=name)
