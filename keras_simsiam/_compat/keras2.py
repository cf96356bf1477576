"""Keras 2.15 with TensorFlow Addons. See `keras_simsiam._compat`."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_simsiam.errors import InputError

ONLY_FIRST_REPLICA = tf.VariableAggregation.ONLY_FIRST_REPLICA
"""Aggregation of variables that are equal on all devices."""


def path_of(variable) -> str:
    """The name of a weight, prefixed by those of its layers as far as Keras 2 knows them."""
    return variable.name.split(":")[0]


def tensorflow_variable(variable) -> tf.Variable:
    """The TensorFlow variable of a Keras weight."""
    return variable


def learning_rate(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """The learning rate of the next step."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # With a schedule, `learning_rate` is the rate of the last step.
    rate = inner.learning_rate if _is_legacy(inner) else inner._learning_rate
    return rate(inner.iterations) if callable(rate) else tf.identity(rate)


def build(optimizer: keras.optimizers.Optimizer, variables: list) -> None:
    """Creates an optimizer's variables."""
    create = optimizer._create_all_weights if _is_legacy(optimizer) else optimizer.build
    create(variables)


def scale_loss(optimizer: keras.optimizers.Optimizer, loss: tf.Tensor) -> tf.Tensor:
    """The loss to differentiate: scaled if the optimizer scales it."""
    scales = isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)
    return optimizer.get_scaled_loss(loss) if scales else loss


def loss_scale(optimizer: keras.mixed_precision.LossScaleOptimizer) -> tf.Variable:
    """The factor by which the loss is multiplied."""
    return optimizer._loss_scale._current_loss_scale


def apply_gradients(optimizer: keras.optimizers.Optimizer, gradients: list, variables: list):
    """Updates variables by gradients of what `scale_loss` returned."""
    if isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))


def synchronize(layer: keras.layers.BatchNormalization) -> None:
    """Makes a layer see the batch of all devices.

    Raises:
        InputError: If there are several machines and it is Keras's own layer, whose statistics no
            worker can read alone.
    """
    several = isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)
    if several and not isinstance(layer, BatchNormalization):
        raise InputError(
            "strategy multi_worker needs Keras 3 for a backbone with Keras's own "
            f"BatchNormalization; got that of the layer {layer.name}"
        )
    layer.synchronized, layer.fused = True, False


class Mean(keras.metrics.Mean):
    """A mean of values that are equal on all devices. See Keras 3's."""

    def add_weight(self, *args, **kwargs):
        """Adds the sum or the count."""
        kwargs["synchronization"] = tf.VariableSynchronization.AUTO
        kwargs["aggregation"] = ONLY_FIRST_REPLICA
        return super().add_weight(*args, **kwargs)


class Model(keras.Model):
    """A `keras.Model` whose file has everything needed to continue training exactly.

    Keras 2 leaves out the variables of legacy optimizers and the loss scale.
    """

    distribute_reduction_method = "first"  # Keras 2 would sum logs that are equal on all devices

    def __dir__(self):
        """The attributes without `parts`, by which Keras 2 would name the networks in a file."""
        return [name for name in super().__dir__() if name != "parts"]

    def save_own_variables(self, store):
        """Writes what Keras 2 leaves out, next to the model's own variables."""
        super().save_own_variables(store)
        for name, variable in self._left_out().items():
            store[name] = variable.numpy()

    def load_own_variables(self, store):
        """Reads what `save_own_variables` wrote."""
        left_out = self._left_out()
        own = {k: store[k] for k in set(store.keys()) - left_out.keys()}
        super().load_own_variables(own)
        for name, variable in left_out.items():
            variable.assign(store[name])

    def _left_out(self) -> dict[str, tf.Variable]:
        found: dict[str, tf.Variable] = {}
        for name in ("optimizer", "predictor_optimizer"):
            optimizer: Any = getattr(self, name, None)
            variables: list[tf.Variable] = []
            if isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
                variables = [loss_scale(optimizer), optimizer.dynamic_counter]
                optimizer = optimizer.inner_optimizer
            if _is_legacy(optimizer):
                variables += optimizer.variables()
            found |= {f"{name}_{i}": variable for i, variable in enumerate(variables)}
        return found


class BatchNormalization(keras.layers.BatchNormalization):
    """BatchNorm whose moving statistics one worker can read alone.

    They are equal on all devices, because BatchNorm is synchronized if there are several. In Keras
    2, each read would wait for all workers to reduce them.
    """

    def add_weight(self, *args, synchronization=tf.VariableSynchronization.AUTO, **kwargs):
        """Adds a weight or a statistic."""
        if synchronization == tf.VariableSynchronization.ON_READ:
            synchronization = tf.VariableSynchronization.AUTO
            kwargs["aggregation"] = ONLY_FIRST_REPLICA
        return super().add_weight(*args, synchronization=synchronization, **kwargs)

    def get_build_config(self) -> None:
        """None: a loaded layer is built where it is called, which names its weights."""


class SGD(keras.optimizers.SGD):
    """SGD with a method that subclasses use and only Keras 3 has."""

    def _get_variable_index(self, variable) -> int:
        return self._index_dict[self._var_key(variable)]


@keras.saving.register_keras_serializable("keras_simsiam")
class Times(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule times a factor."""

    def __init__(self, schedule, factor: float):
        self.schedule, self.factor = schedule, factor

    def __call__(self, step):
        """The value at a step."""
        return self.factor * self.schedule(step)

    def get_config(self) -> dict:
        """The arguments of the constructor, for Keras."""
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": schedule, "factor": self.factor}

    @classmethod
    def from_config(cls, config: dict) -> Times:
        """Makes a schedule from what `get_config` returned."""
        schedule = keras.optimizers.schedules.deserialize(config["schedule"])
        return cls(schedule, config["factor"])


def sgdw(learning_rate, momentum: float, weight_decay: float, name: str):
    """TensorFlow Addons' SGDW, whose weight decay does not follow the learning rate by itself."""
    schedule = callable(learning_rate)
    decay = Times(learning_rate, weight_decay) if schedule else learning_rate * weight_decay
    return _addons("sgdw").SGDW(decay, learning_rate, momentum, name=name)


def lamb(learning_rate, momentum: float, weight_decay: float, name: str):
    """TensorFlow Addons' LAMB with the momentum as its β₁."""
    return _addons("lamb").LAMB(
        learning_rate, beta_1=momentum, epsilon=1e-6, weight_decay=weight_decay, name=name
    )


def _is_legacy(optimizer) -> bool:
    """Whether an optimizer has the interface from before Keras 2.11, as those of Addons do."""
    return isinstance(optimizer, keras.optimizers.legacy.Optimizer)


def _addons(optimizer: str):
    try:
        from tensorflow_addons import optimizers
    except ImportError as e:
        raise InputError(
            f"optimizer {optimizer} needs TensorFlow Addons on Keras 2: "
            "pip install 'keras-simsiam[addons]'"
        ) from e
    return optimizers
