"""The paper's optimizer and its two learning rates, and alternatives.

`SGD` is PyTorch's, which the paper's authors used.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule

from keras_simsiam import _compat
from keras_simsiam.config import Optimizer, Schedule
from keras_simsiam.errors import InputError, check_choice, shown
from keras_simsiam.fields import Count, Index, Momentum, NonNegative, checks_arguments


@keras.saving.register_keras_serializable("keras_simsiam")
class SGD(_compat.SGD):
    """Stochastic gradient descent with momentum, in PyTorch's order of operations.

    For each weight w with gradient g, velocity v, rate η, momentum μ and weight decay λ::

        v ← μ v + (g + λ w)
        w ← w - η v

    Keras's own SGD decouples the decay from the momentum, and multiplies by η inside of v, which
    gives other steps once the rate changes.

    Args:
        learning_rate: A number or a `keras.optimizers.schedules.LearningRateSchedule`.
        momentum: μ, 0 for none.
        weight_decay: λ. The paper decays every weight, including BatchNorm's scales and offsets.
        name: Name of the optimizer.
        **kwargs: See `keras.optimizers.SGD`.

    Raises:
        InputError: If a number is negative or not finite, or the momentum is not below 1.
    """

    @checks_arguments
    def __init__(
        self,
        learning_rate: NonNegative | LearningRateSchedule | Callable = 0.05,
        momentum: Momentum = 0.9,
        weight_decay: NonNegative = 0.0,
        name: str = "sgd",
        **kwargs,
    ):
        # Hidden from Keras, which would apply its own decoupled decay as well.
        super().__init__(learning_rate=learning_rate, momentum=momentum, name=name, **kwargs)
        self.coupled_weight_decay = weight_decay

    def update_step(self, gradient, variable, learning_rate=None):
        """Updates one variable in place; Keras 2 does not pass the learning rate."""
        rate = self.learning_rate if learning_rate is None else learning_rate
        rate = tf.cast(rate, variable.dtype)
        gradient = self._decayed(tf.convert_to_tensor(gradient), variable)
        if not self.momentum:
            variable.assign_sub(rate * gradient)
            return
        velocity = self.momentums[self._get_variable_index(variable)]
        tf.raw_ops.ResourceApplyMomentum(  # v and w in one operation
            var=variable.handle,
            accum=_compat.tensorflow_variable(velocity).handle,
            lr=rate,
            grad=gradient,
            momentum=tf.constant(self.momentum, variable.dtype),
        )

    def _decayed(self, gradient, variable):
        return gradient + self.coupled_weight_decay * variable

    def get_config(self) -> dict:
        """The arguments of the constructor, for Keras."""
        return {**super().get_config(), "weight_decay": self.coupled_weight_decay}


@keras.saving.register_keras_serializable("keras_simsiam")
class LARS(SGD):
    """`SGD` with a learning rate of its own for each variable (You et al. 2017).

    ``g + λ w`` is multiplied by `trust_ratio`, as in LARC, with which the paper's authors train
    their linear probe.
    """

    def _decayed(self, gradient, variable):
        ratio = trust_ratio(variable, gradient, self.coupled_weight_decay)
        return ratio * super()._decayed(gradient, variable)


def trust_ratio(
    variable: tf.Tensor,
    gradient: tf.Tensor,
    weight_decay: float = 0.0,
    axes: list[int] | None = None,
) -> tf.Tensor:
    """LARS's factor for a gradient: ``0.001 |w| / (|g| + λ |w|)``, or 1 if either norm is 0.

    Args:
        variable: w, of any shape.
        gradient: g, of the same shape.
        weight_decay: λ.
        axes: Axes of the norms, kept with length 1; if None, all of them, for a scalar.

    Returns:
        A scalar, or with `axes` a tensor that broadcasts against the gradient.
    """
    variable_norm, gradient_norm = (
        tf.sqrt(tf.reduce_sum(tf.square(v), axes, keepdims=axes is not None))
        for v in (variable, gradient)
    )
    ratio = 0.001 * variable_norm / (gradient_norm + weight_decay * variable_norm + 1e-8)
    return tf.where((variable_norm > 0) & (gradient_norm > 0), ratio, tf.ones_like(ratio))


class _SummingGradients(keras.optimizers.Optimizer):
    """An optimizer that applies the sum of all gradients so far, as PyTorch's do if nobody calls
    ``zero_grad()``. The report's code did not call it; see `experiments.collapse_floor`.
    """

    def build(self, variables):
        """Creates the sums next to the optimizer's own variables."""
        super().build(variables)
        if not hasattr(self, "_sums"):
            self._sums = [self.add_variable_from_reference(v, "sum") for v in variables]

    def apply_gradients(self, grads_and_vars, **kwargs):
        """Adds the gradients to the sums, and applies the sums."""
        gradients, variables = zip(*grads_and_vars, strict=True)
        for total, gradient in zip(self._sums, gradients, strict=True):
            if gradient is not None:
                total.assign_add(gradient)
        sums = [
            None if gradient is None else _compat.tensorflow_variable(total)
            for total, gradient in zip(self._sums, gradients, strict=True)
        ]
        super().apply_gradients(zip(sums, variables, strict=True), **kwargs)


@keras.saving.register_keras_serializable("keras_simsiam")
class SummingSGD(_SummingGradients, SGD):
    """`SGD` that applies the sum of all gradients so far."""


@keras.saving.register_keras_serializable("keras_simsiam")
class SummingAdam(_SummingGradients, keras.optimizers.Adam):
    """Adam that applies the sum of all gradients so far."""


def _adam(make, rate, momentum: float, weight_decay: float, name: str):
    decay = weight_decay or None
    # PyTorch's epsilon.
    return make(rate, beta_1=momentum, epsilon=1e-8, weight_decay=decay, name=name)


_OPTIMIZERS: dict[str, Callable] = {
    "sgd": SGD,
    "sgdw": _compat.sgdw,
    "lamb": _compat.lamb,
    "lars": LARS,
    "adam": functools.partial(_adam, keras.optimizers.Adam),
}
_SUMMING: dict[str, Callable] = {"sgd": SummingSGD, "adam": functools.partial(_adam, SummingAdam)}


@checks_arguments
def paper_optimizers(
    batch_size: Count,
    steps: Count,
    base_learning_rate: NonNegative = 0.05,
    momentum: Momentum = 0.9,
    weight_decay: NonNegative = 1e-4,
    warmup_steps: Index = 0,
    predictor_decay: bool = False,
    optimizer: Optimizer = "sgd",
    schedule: Schedule = "cosine",
    zero_gradients: bool = True,
) -> dict[str, keras.optimizers.Optimizer]:
    """The paper's two optimizers, for `SimSiam.compile(**paper_optimizers(...))`.

    The learning rate is ``base_learning_rate * batch_size / 256``. That of backbone and projector
    decays to zero along a cosine; that of the predictor is constant, because the predictor should
    adapt to the latest representations (Table 1c).

    Args:
        batch_size: Images per step, over all devices.
        steps: Steps of the whole training.
        base_learning_rate: Learning rate for a batch of 256.
        momentum: Momentum of both; β₁ of LAMB and Adam.
        weight_decay: Weight decay of both. It is added to the gradient, except that "sgdw" and
            "adam" decouple it and "lamb" adapts it along with the step.
        warmup_steps: Steps, fewer than `steps`, in which the rate of backbone and projector first
            rises from zero; the paper warms up for batches of 1024 and more.
        predictor_decay: Whether the predictor's rate follows the same schedule (Table 1).
        optimizer: "sgd" (the paper's), "sgdw" (Loshchilov and Hutter 2019), "lamb" (You et al.
            2020) or "lars" (You et al. 2017) for large batches, or "adam". On Keras 2, "sgdw" and
            "lamb" are those of TensorFlow Addons.
        schedule: "cosine", or "constant".
        zero_gradients: False to apply the sum of all gradients so far at each step, as the
            report's code does; for "sgd" and "adam".

    Returns:
        ``optimizer`` and ``predictor_optimizer``.

    Raises:
        InputError: If there is no such optimizer or schedule, a number is out of range, or
            TensorFlow Addons is missing.
    """
    if not zero_gradients:
        check_choice("optimizer without zero_gradients", optimizer, _SUMMING)
    if warmup_steps >= steps:
        raise InputError(f"warmup_steps must be below steps, which is {steps}; got {warmup_steps}")
    rate = base_learning_rate * batch_size / 256
    decaying = _schedule(schedule, rate, steps, warmup_steps)
    make = (_OPTIMIZERS if zero_gradients else _SUMMING)[optimizer]
    predictor_rate = decaying if predictor_decay else rate
    return {
        "optimizer": make(decaying, momentum, weight_decay, f"encoder_{optimizer}"),
        "predictor_optimizer": make(
            predictor_rate, momentum, weight_decay, f"predictor_{optimizer}"
        ),
    }


def named(name: str, given: Any) -> keras.optimizers.Optimizer:
    """The Keras optimizer that an argument stands for.

    Args:
        name: The argument's name in messages.
        given: An optimizer, the name of one, or its configuration.

    Raises:
        InputError: If there is no such optimizer.
    """
    try:
        found = keras.optimizers.get(given)
    except (ValueError, TypeError):
        found = None
    if found is None:
        raise InputError(
            f"{name} must be a Keras optimizer, or the name of one; got {shown(given)}"
        )
    return found


def _schedule(kind: str, rate: float, steps: int, warmup_steps: int):
    """A learning rate or schedule that starts at, or warms up to, `rate`."""
    if kind == "constant" and not warmup_steps:
        return rate
    warmup = {"warmup_target": rate, "warmup_steps": warmup_steps} if warmup_steps else {}
    initial = 0.0 if warmup else rate
    if keras.backend.floatx() == "float64":
        initial = np.float64(initial)  # Keras computes the schedule in the type of this value
    return keras.optimizers.schedules.CosineDecay(
        initial,
        decay_steps=max(1, steps - warmup_steps),
        alpha=1.0 if kind == "constant" else 0.0,
        **warmup,
    )
