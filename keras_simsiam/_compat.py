"""What differs between Keras 3 and Keras 2.15, the last that TensorFlow Addons runs with.

Everything else in this package is written once, for both.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_simsiam.errors import InputError

KERAS_3 = not keras.__version__.startswith("2.")

ONLY_FIRST_REPLICA = "only_first_replica" if KERAS_3 else tf.VariableAggregation.ONLY_FIRST_REPLICA
"""For variables that are the same on all devices."""

_LAMB_EPSILON = 1e-6


def path_of(variable) -> str:
    """The name of a weight with those of its layers, as far as Keras knows them."""
    return variable.path if KERAS_3 else variable.name.split(":")[0]


def tensorflow_variable(variable) -> tf.Variable:
    """What lies under a weight of Keras's."""
    return variable.value if KERAS_3 else variable


def learning_rate(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """The rate of the step that comes next."""
    if KERAS_3:
        return tf.identity(optimizer.learning_rate)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # `learning_rate` is the rate of the last step where there is a schedule.
    rate = inner.learning_rate if is_legacy(inner) else inner._learning_rate
    return rate(inner.iterations) if callable(rate) else tf.identity(rate)


def build(optimizer: keras.optimizers.Optimizer, variables: list) -> None:
    """Makes an optimiser's variables."""
    make = optimizer._create_all_weights if is_legacy(optimizer) else optimizer.build
    make(variables)


def scale_loss(optimizer: keras.optimizers.Optimizer, loss: tf.Tensor) -> tf.Tensor:
    """The loss to take gradients of; the same one where the optimiser scales none."""
    if KERAS_3:
        return optimizer.scale_loss(loss)
    scales = isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)
    return optimizer.get_scaled_loss(loss) if scales else loss


def loss_scale(optimizer: keras.mixed_precision.LossScaleOptimizer) -> tf.Variable:
    """What the loss is multiplied with."""
    return optimizer.dynamic_scale if KERAS_3 else optimizer._loss_scale._current_loss_scale


def apply_gradients(optimizer: keras.optimizers.Optimizer, gradients: list, variables: list):
    """Updates variables with the gradients of what `scale_loss` gave."""
    if not KERAS_3 and isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))


def is_legacy(optimizer) -> bool:
    """Whether an optimiser has the interface from before Keras 2.11, as those of Addons do."""
    return not KERAS_3 and isinstance(optimizer, keras.optimizers.legacy.Optimizer)


if KERAS_3:

    class Mean(keras.metrics.Mean):
        """A mean of values that are the same on every device already.

        Reading Keras's own makes all workers add up theirs, so that one alone would wait for ever.
        """

        def add_variable(self, *args, aggregation="only_first_replica", **kwargs):
            return super().add_variable(*args, aggregation=aggregation, **kwargs)

    class Keras2Model:
        """Nothing: this is Keras 3."""

    BatchNormalization = keras.layers.BatchNormalization
    SGD = keras.optimizers.SGD

    def sgdw(learning_rate, momentum: float, weight_decay: float, name: str):
        """SGD whose weight decay is the rate times λ w, apart from the momentum."""
        return keras.optimizers.SGD(
            learning_rate, momentum, weight_decay=weight_decay or None, name=name
        )

    @keras.saving.register_keras_serializable("keras_simsiam")
    class LAMB(keras.optimizers.Lamb):
        """LAMB as published (You et al. 2020), with λ w in the step whose size is adapted.

        Keras's own takes the decay apart from it.
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
            of_variable, of_update = tf.norm(variable), tf.norm(update)
            ratio = of_variable / of_update
            adapted = (of_variable > 0) & (of_update > 0)
            self.assign_sub(variable, tf.where(adapted, ratio, tf.ones_like(ratio)) * rate * update)

        def get_config(self) -> dict:
            """The arguments that make this optimiser again."""
            return {**super().get_config(), "weight_decay": self.inner_weight_decay}

    def lamb(learning_rate, momentum: float, weight_decay: float, name: str):
        """LAMB with the momentum as its β₁."""
        return LAMB(learning_rate, weight_decay, beta_1=momentum, epsilon=_LAMB_EPSILON, name=name)

else:

    class Mean(keras.metrics.Mean):
        """A mean of values that are the same on every device already; see Keras 3's."""

        def add_weight(self, *args, **kwargs):
            """Adds a sum, or a count."""
            kwargs["synchronization"] = tf.VariableSynchronization.AUTO
            kwargs["aggregation"] = ONLY_FIRST_REPLICA
            return super().add_weight(*args, **kwargs)

    class Keras2Model:
        """For a `keras.Model`: what Keras 2 does otherwise.

        It adds up what devices log, and leaves legacy optimisers and the scale of the loss out of
        a file.
        """

        distribute_reduction_method = "first"  # all log the same

        def save_own_variables(self, store):
            """Writes what would be left out beside the model's own weights."""
            super().save_own_variables(store)
            for name, variable in self._left_out().items():
                store[name] = variable.numpy()

        def load_own_variables(self, store):
            """Reads them."""
            left_out = self._left_out()
            own = {k: store[k] for k in set(store.keys()) - left_out.keys()}
            super().load_own_variables(own)
            for name, variable in left_out.items():
                variable.assign(store[name])

        def _left_out(self) -> dict[str, tf.Variable]:
            found = {}
            for name in ("optimizer", "predictor_optimizer"):
                optimizer, variables = getattr(self, name, None), []
                if isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
                    variables = [loss_scale(optimizer), optimizer.dynamic_counter]
                    optimizer = optimizer.inner_optimizer
                if is_legacy(optimizer):
                    variables += optimizer.variables()
                found |= {f"{name}_{i}": variable for i, variable in enumerate(variables)}
            return found

    @keras.saving.register_keras_serializable("keras_simsiam")
    class BatchNormalization(keras.layers.BatchNormalization):
        """Keras 2's, whose statistics one worker alone can read.

        They are the same on all devices, as it is synchronised where there are several; Keras 2
        would bring them together from all workers each time.
        """

        def add_weight(self, *args, synchronization=tf.VariableSynchronization.AUTO, **kwargs):
            """Adds a weight, or a statistic."""
            if synchronization == tf.VariableSynchronization.ON_READ:
                synchronization = tf.VariableSynchronization.AUTO
                kwargs["aggregation"] = ONLY_FIRST_REPLICA
            return super().add_weight(*args, synchronization=synchronization, **kwargs)

        def get_build_config(self) -> None:
            """Nothing: of a file, it is built where it is called, which names its weights."""

    class SGD(keras.optimizers.SGD):
        """Keras 2's, which subclasses can use as they use Keras 3's."""

        def _get_variable_index(self, variable) -> int:
            return self._index_dict[self._var_key(variable)]

        def assign(self, variable, value) -> None:
            """Sets a variable."""
            variable.assign(value)

        def assign_sub(self, variable, value) -> None:
            """Subtracts from a variable."""
            variable.assign_sub(value)

    @keras.saving.register_keras_serializable("keras_simsiam")
    class Times(keras.optimizers.schedules.LearningRateSchedule):
        """A schedule times a factor."""

        def __init__(self, schedule, factor: float):
            self.schedule, self.factor = schedule, factor

        def __call__(self, step):
            """The value at a step."""
            return self.factor * self.schedule(step)

        def get_config(self) -> dict:
            """The arguments that make this schedule again."""
            schedule = keras.optimizers.schedules.serialize(self.schedule)
            return {"schedule": schedule, "factor": self.factor}

        @classmethod
        def from_config(cls, config: dict) -> Times:
            """Makes it again from `get_config`."""
            schedule = keras.optimizers.schedules.deserialize(config["schedule"])
            return cls(schedule, config["factor"])

    def sgdw(learning_rate, momentum: float, weight_decay: float, name: str):
        """SGDW of TensorFlow Addons, whose weight decay knows nothing of the rate by itself."""
        schedule = callable(learning_rate)
        decay = Times(learning_rate, weight_decay) if schedule else learning_rate * weight_decay
        return _addons("sgdw").SGDW(decay, learning_rate, momentum, name=name)

    def lamb(learning_rate, momentum: float, weight_decay: float, name: str):
        """LAMB of TensorFlow Addons with the momentum as its β₁."""
        return _addons("lamb").LAMB(
            learning_rate,
            beta_1=momentum,
            epsilon=_LAMB_EPSILON,
            weight_decay=weight_decay,
            name=name,
        )

    def _addons(optimizer: str):
        try:
            from tensorflow_addons import optimizers
        except ImportError as e:
            raise InputError(
                f"optimizer {optimizer} needs TensorFlow Addons on Keras 2: "
                "pip install 'keras-simsiam[addons]'"
            ) from e
        return optimizers
