"""The paper's optimiser: SGD as PyTorch defines it, and its two learning rates (Section 4)."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("keras_simsiam")
class SGD(keras.optimizers.SGD):
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

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable in place."""
        rate = tf.cast(learning_rate, variable.dtype)
        gradient = tf.convert_to_tensor(gradient) + self.coupled_weight_decay * variable
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            gradient = self.momentum * velocity + gradient
            self.assign(velocity, gradient)
        self.assign_sub(variable, rate * gradient)

    def get_config(self) -> dict:
        """The arguments that make this optimiser again."""
        return {**super().get_config(), "weight_decay": self.coupled_weight_decay}


def paper_optimizers(
    batch_size: int,
    steps: int,
    base_learning_rate: float = 0.05,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    warmup_steps: int = 0,
    predictor_decay: bool = False,
) -> dict[str, SGD]:
    """The paper's pair of optimisers, ready for `SimSiam.compile(**paper_optimizers(...))`.

    The rate is ``base_learning_rate * batch_size / 256``. Backbone and projector decay it to zero
    along a cosine; the predictor keeps it, because it should follow the newest
    representations (Table 1c).

    Args:
        batch_size: Images a step, over all devices.
        steps: Length of the training in steps.
        base_learning_rate: Rate for a batch of 256.
        momentum: Momentum of both.
        weight_decay: Weight decay of both, added to the gradient.
        warmup_steps: Steps in which the rate of backbone and projector first rises from zero; the
            paper warms up for batches of 1024 and more.
        predictor_decay: Whether the predictor follows the same schedule instead (Table 1).
    """
    rate = base_learning_rate * batch_size / 256
    decay_steps = max(1, steps - warmup_steps)
    if warmup_steps:
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, decay_steps, warmup_target=rate, warmup_steps=warmup_steps
        )
    else:
        schedule = keras.optimizers.schedules.CosineDecay(rate, decay_steps)
    shared = {"momentum": momentum, "weight_decay": weight_decay}
    return {
        "optimizer": SGD(schedule, name="encoder_sgd", **shared),
        "predictor_optimizer": SGD(
            schedule if predictor_decay else rate, name="predictor_sgd", **shared
        ),
    }
