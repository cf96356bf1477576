"""The paper's optimiser, SGD as PyTorch defines it, its two learning rates, and alternatives."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_simsiam import _compat
from keras_simsiam.errors import check_choice


@keras.saving.register_keras_serializable("keras_simsiam")
class SGD(_compat.SGD):
    """Stochastic gradient descent with momentum, in PyTorch's order of operations.

    For each weight w with gradient g, velocity v, rate η, momentum μ and weight decay λ::

        v ← μ v + (g + λ w)
        w ← w - η v

    Keras's own SGD decouples the decay from the momentum and keeps η inside v, which differs as
    soon as the rate changes.

    Args:
        learning_rate: A number or a `keras.optimizers.schedules.LearningRateSchedule`.
        momentum: μ, 0 for none.
        weight_decay: λ. The paper decays every weight, BatchNorm's scales and offsets too.
        name: Name of the optimiser.
        **kwargs: Whatever else `keras.optimizers.SGD` takes.
    """

    def __init__(
        self,
        learning_rate=0.05,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        name: str = "sgd",
        **kwargs,
    ):
        # Keras must not see the decay: it would apply its own, decoupled, as well.
        super().__init__(learning_rate=learning_rate, momentum=momentum, name=name, **kwargs)
        self.coupled_weight_decay = weight_decay

    def update_step(self, gradient, variable, learning_rate=None):
        """Updates one variable in place; Keras 2 does not say the rate."""
        rate = self.learning_rate if learning_rate is None else learning_rate
        rate = tf.cast(rate, variable.dtype)
        gradient = self._decayed(tf.convert_to_tensor(gradient), variable)
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            gradient = self.momentum * velocity + gradient
            self.assign(velocity, gradient)
        self.assign_sub(variable, rate * gradient)

    def _decayed(self, gradient, variable):
        return gradient + self.coupled_weight_decay * variable

    def get_config(self) -> dict:
        """The arguments that make this optimiser again."""
        return {**super().get_config(), "weight_decay": self.coupled_weight_decay}


@keras.saving.register_keras_serializable("keras_simsiam")
class LARS(SGD):
    """`SGD` whose step each variable scales by its own size (You et al. 2017).

    ``g + λ w`` is multiplied by `trust_ratio`, as in the LARC that the authors train their
    linear probe with.
    """

    def _decayed(self, gradient, variable):
        ratio = trust_ratio(variable, gradient, self.coupled_weight_decay)
        return ratio * super()._decayed(gradient, variable)


def trust_ratio(
    variable: tf.Tensor,
    gradient: tf.Tensor,
    weight_decay: float = 0.0,
    axes: list[int] | None = None,
    coefficient: float = 0.001,
) -> tf.Tensor:
    """What LARS multiplies a gradient with: ``0.001 |w| / (|g| + λ |w|)``, or 1 where one is 0.

    Args:
        variable: w, of any shape.
        gradient: g, of the same.
        weight_decay: λ.
        axes: Over which to take the norms, and which the result has of length 1; all, and a
            scalar, where None.
        coefficient: The authors' trust coefficient.
    """
    of_variable, of_gradient = (
        tf.sqrt(tf.reduce_sum(tf.square(v), axes, keepdims=axes is not None))
        for v in (variable, gradient)
    )
    ratio = coefficient * of_variable / (of_gradient + weight_decay * of_variable + 1e-8)
    return tf.where((of_variable > 0) & (of_gradient > 0), ratio, tf.ones_like(ratio))


_MAKERS = {"sgd": SGD, "sgdw": _compat.sgdw, "lamb": _compat.lamb, "lars": LARS}


def paper_optimizers(
    batch_size: int,
    steps: int,
    base_learning_rate: float = 0.05,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    warmup_steps: int = 0,
    predictor_decay: bool = False,
    optimizer: str = "sgd",
) -> dict[str, keras.optimizers.Optimizer]:
    """The paper's pair of optimisers, ready for `SimSiam.compile(**paper_optimizers(...))`.

    The rate is ``base_learning_rate * batch_size / 256``. Backbone and projector decay it to zero
    along a cosine; the predictor keeps it, because it should follow the newest
    representations (Table 1c).

    Args:
        batch_size: Images a step, over all devices.
        steps: Length of the training in steps.
        base_learning_rate: Rate for a batch of 256.
        momentum: Momentum of both; LAMB's β₁.
        weight_decay: Weight decay of both, added to the gradient but for "sgdw" and "lamb".
        warmup_steps: Steps in which the rate of backbone and projector first rises from zero; the
            paper warms up for batches of 1024 and more.
        predictor_decay: Whether the predictor follows the same schedule instead (Table 1).
        optimizer: "sgd", the paper's; "sgdw", whose decay is the rate times λ w, apart from the
            momentum (Loshchilov and Hutter 2019); "lamb" (You et al. 2020) or "lars" (You et al.
            2017), for large batches. On Keras 2, SGDW and LAMB are those of TensorFlow Addons.

    Raises:
        InputError: If there is no such optimiser, or TensorFlow Addons is missing for it.
    """
    check_choice("optimizer", optimizer, _MAKERS)
    rate = base_learning_rate * batch_size / 256
    decay_steps = max(1, steps - warmup_steps)
    if warmup_steps:
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, decay_steps, warmup_target=rate, warmup_steps=warmup_steps
        )
    else:
        schedule = keras.optimizers.schedules.CosineDecay(rate, decay_steps)
    make = _MAKERS[optimizer]
    shared = {"momentum": momentum, "weight_decay": weight_decay}
    return {
        "optimizer": make(schedule, name=f"encoder_{optimizer}", **shared),
        "predictor_optimizer": make(
            schedule if predictor_decay else rate, name=f"predictor_{optimizer}", **shared
        ),
    }
