"""How a method trains: Keras's `compile` and `fit`, and the step on a batch of views."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_simsiam import _compat, augment
from keras_simsiam.conversion import converted
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Count
from keras_simsiam.models import batches
from keras_simsiam.models.gradients import averaged, checked, with_loss_scale
from keras_simsiam.models.objectives import mean_over_replicas, replicas, share, z_std
from keras_simsiam.models.parts import input_channels
from keras_simsiam.models.saving import SavedWithParts
from keras_simsiam.optimizers import named
from keras_simsiam.preprocessing import Preprocessing, remembered


class TrainedOnViews(SavedWithParts):
    """A model that trains on batches of views, on one device or several, in any precision.

    `keras_simsiam.models.base.JointEmbedding` has the rest.
    """

    backbone: keras.Model
    view_count: int | None
    forward: Any
    before_step: Any
    after_step: Any
    predictor_variables: Any
    step_counter: Any
    loss_tracker: keras.metrics.Metric
    z_std_tracker: keras.metrics.Metric
    accumulate: int

    def compile(
        self,
        optimizer="rmsprop",
        predictor_optimizer=None,
        jit_compile: bool = False,
        accumulate: int = 1,
        **kwargs,
    ) -> None:
        """Sets the optimizers.

        Args:
            optimizer: Any Keras optimizer.
            predictor_optimizer: Optimizer of the predictor; if None, `optimizer` trains it.
            jit_compile: Whether XLA compiles the training step. Keras's default is to do so, which
                is slower for convolutions on CPUs.
            accumulate: Parts of a batch that pass through the network one after another, to save
                memory; the step applies the mean of their gradients. What compares the images of a
                batch, such as BatchNorm, sees those of a part. Batches must be multiples of it.
            **kwargs: Other arguments of `keras.Model.compile`, but no ``loss`` or ``metrics``.

        Raises:
            InputError: If Keras knows no such optimizer, both are the same object, `accumulate`
                is not a positive integer, or a loss or metrics are given.
        """
        batches.refuse_losses(kwargs)
        self.accumulate = converted("accumulate", accumulate, Count)
        optimizers = [named("optimizer", optimizer)]
        optimizers += [predictor_optimizer and named("predictor_optimizer", predictor_optimizer)]
        if optimizers[0] is optimizers[1]:
            raise InputError("predictor_optimizer must not be the same object as optimizer")
        if self.dtype_policy.name == "mixed_float16":
            optimizers = [o and with_loss_scale(o) for o in optimizers]
        super().compile(optimizer=optimizers[0], jit_compile=jit_compile, **kwargs)
        self.predictor_optimizer = optimizers[1]
        for opt, variables in self._optimizer_groups():
            _compat.build(opt, variables)

    def fit(self, x=None, *args, **kwargs):
        """Trains as `keras.Model.fit` does.

        Raises:
            InputError: If `keras_simsiam.views` made the views by another preprocessing than the
                model's, they were not normalized, there is a ``class_weight``, a batch leaves a
                device without images, or the model was created outside the scope of a
                `tf.distribute.Strategy` that it is to train in.
        """
        batches.refuse_class_weight(kwargs)
        batches.check_scope(self.step_counter)
        self.preprocessing = self._agreed(x)
        with batches.refusals():
            return super().fit(x, *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        """Loss and z_std, as `keras.Model.evaluate` gives them.

        Raises:
            InputError: As `fit` does.
        """
        self._agreed(x)
        with batches.refusals():
            return super().evaluate(x, *args, **kwargs)

    def train_on_batch(self, *args, **kwargs):
        """Takes one step, on ``(x1, x2)`` or, for more than two views, on a tuple of them."""
        batches.refuse_class_weight(kwargs)
        with batches.refusals():
            return super().train_on_batch(*args, **kwargs)

    def export(self, *args, **kwargs):
        """Exports the backbone, which is what calling the model calls."""
        return self.backbone.export(*args, **kwargs)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics that `fit` averages over an epoch."""
        return [self.loss_tracker, self.z_std_tracker]

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """One training step on a batch.

        Raises:
            tf.errors.InvalidArgumentError: If a gradient is not finite, naming the first such
                variable; no weight has been changed. Not if XLA compiles the step, and not with
                mixed_float16, where loss scaling skips the step.
        """
        groups = self._optimizer_groups()
        if not groups:
            raise InputError("at least one weight must be trainable; got none")
        self.before_step()
        views, also = self._views(data)
        part = share(views[0])
        views = batches.none_empty(views, part, self.jit_compile)
        trained = [variables for _, variables in groups]
        loss, z1, gradients = averaged(
            lambda views, also: self._gradients(views, also, part, trained),
            batches.parts(views, also, self.accumulate),
        )
        paths = [_compat.path_of(v) for _, variables in groups for v in variables]
        gradients = checked(gradients, paths, self.optimizer, raises=not self.jit_compile)
        learning_rate = _compat.learning_rate(self.optimizer)
        for (optimizer, variables), group in zip(groups, gradients, strict=True):
            _compat.apply_gradients(optimizer, group, variables)
        self.after_step()
        with tf.control_dependencies([g for g in tf.nest.flatten(gradients) if g is not None]):
            self.step_counter.assign_add(1)
        return {**self._track(loss, z1, views), "learning_rate": learning_rate}

    def test_step(self, data) -> dict[str, tf.Tensor]:
        """Loss and z_std of a batch, with BatchNorm in inference mode."""
        views, also = self._views(data)
        views = batches.none_empty(views, share(views[0]), self.jit_compile)
        return self._track(*self._forward(views, False, also), views)

    def predict_step(self, data) -> tf.Tensor:
        """Features of a batch of images."""
        images = data[0] if isinstance(data, tuple | list) else data  # the others are labels
        return self(images, training=False)

    def _gradients(
        self, views, also: dict, part: tf.Tensor | float, trained: list[list]
    ) -> tuple[tf.Tensor, tf.Tensor, list[list]]:
        """The loss of views, z1, and the gradients of what the optimizer is to minimize."""
        with tf.GradientTape() as tape:
            loss, z1 = self._forward(views, True, also)
            # Of layers: regularizers of their weights, and what they add themselves.
            total = loss * tf.cast(part, loss.dtype)
            total += sum(tf.cast(v, loss.dtype) for v in self.losses)
            # Optimizers sum the gradients of the replicas.
            scaled = _compat.scale_loss(self.optimizer, total) / replicas()
        return loss, z1, tape.gradient(scaled, trained)

    def _agreed(self, x) -> Preprocessing | None:
        """The model's preprocessing, which must be that by which views were made, if it is known.

        Raises:
            InputError: If it is not.
        """
        made = remembered(x)
        if made is None:
            return self.preprocessing
        if self.augmentation is not None:  # its size, not that of `views`
            made = made.replace(image_size=self.image_size)
        return batches.agreed(made, self.preprocessing, self._assumed)

    def _views(self, data) -> tuple[tuple[tf.Tensor, ...], dict[str, tf.Tensor]]:
        """The views of a batch, float32 ``[B, H, W, C]`` each, and what else it says of its images.

        Raises:
            InputError: If the batch is no batch of views.
        """
        batch, also = batches.unpacked(data)
        if self.augmentation is not None and self.image_size is not None:
            small, size = self.small_views, self.image_size
            batch = augment.make_views(self.augmentation, batch, size, small_views=small)
        channels = input_channels(self.backbone)
        batches.check(batch, self.view_count, self.small_views, channels)
        if self.preprocessing is None:
            size = batch[0].shape[1]
            self.preprocessing = self._assumed = Preprocessing.assumed(size, channels)
        if self.preprocessing is self._assumed:  # nothing says how the views were normalized
            batch = batches.none_in_bytes(tuple(batch), self.jit_compile)
        return tuple(batch), also

    def _forward(self, views, training: bool, also: dict) -> tuple[tf.Tensor, tf.Tensor]:
        """`forward`, which need not know weights and numbers of images.

        Raises:
            InputError: If it returns something else than it should.
        """
        made = self.forward(views, training=training, **batches.known_to(self.forward, also))
        batches.check_made(made)
        return made

    def _optimizer_groups(self) -> list[tuple[keras.optimizers.Optimizer, list]]:
        """Each optimizer with the variables that it trains.

        Raises:
            InputError: If the model has not been compiled.
        """
        if getattr(self, "optimizer", None) is None:
            raise InputError("the model must be compiled before it is trained")
        predictor = self.predictor_variables()
        others = [part for name, part in self.parts.items() if name != "predictor"]
        encoder = [variable for part in others for variable in part.trainable_variables]
        groups = [(self.optimizer, encoder), (self.predictor_optimizer, predictor)]
        if self.predictor_optimizer is None:
            groups = [(self.optimizer, encoder + predictor)]
        return [(optimizer, variables) for optimizer, variables in groups if variables]

    def _track(self, loss: tf.Tensor, z1: tf.Tensor, views) -> dict[str, tf.Tensor]:
        """Adds a batch to the averages of the epoch, and returns them."""
        count = None
        if views[0].shape[0] is None:  # the last batch may be smaller
            count = mean_over_replicas(tf.cast(tf.shape(views[0])[0], tf.float32))
        self.loss_tracker.update_state(mean_over_replicas(loss, share(views[0])), count)
        self.z_std_tracker.update_state(z_std(z1), count)
        return {m.name: m.result() for m in self.metrics}
