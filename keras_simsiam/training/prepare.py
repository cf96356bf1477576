"""Prepares what a run needs before its first step: images, model, baselines and folder."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import keras
import tensorflow as tf

from keras_simsiam import user_code
from keras_simsiam.config import Run
from keras_simsiam.errors import InputError
from keras_simsiam.evaluation import Encoder, raw_pixels_of
from keras_simsiam.evaluation.retrieval import view_retrieval
from keras_simsiam.metrics import baseline_key
from keras_simsiam.models import backbones
from keras_simsiam.models.base import JointEmbedding, Length
from keras_simsiam.models.batch_norm import synchronize
from keras_simsiam.models.methods import method
from keras_simsiam.optimizers import paper_optimizers
from keras_simsiam.training import resuming
from keras_simsiam.training.devices import Devices
from keras_simsiam.training.folder import RunFolder
from keras_simsiam.training.inputs import Inputs, load_inputs
from keras_simsiam.training.monitors import KNNMonitor
from keras_simsiam.training.output import Output
from keras_simsiam.training.start import load_weights
from keras_simsiam.training.user_callbacks import make_callbacks
from keras_simsiam.workers import Workers

BASELINE_IMAGES = 25_000, 10_000
"""The most training and test images that the kNN baselines are measured on."""


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to train.

    Attributes:
        run: Its settings.
        output: Where it writes.
        devices: Where it is computed.
        folder: Its files.
        strategy: TensorFlow's strategy for the devices.
        inputs: Its images.
        model: Its compiled model, at the step from which it trains.
        baselines: Accuracies without training, by key.
        start: Where the model's weights come from.
        users: Callbacks of the user, for the chief.
        resumed: The state in the checkpoint; empty for a new run.
    """

    run: Run
    output: Output
    devices: Devices
    folder: RunFolder
    strategy: tf.distribute.Strategy
    inputs: Inputs
    model: JointEmbedding
    baselines: dict[str, float | None]
    start: str
    users: list[keras.callbacks.Callback]
    resumed: dict = field(default_factory=dict)

    @property
    def baseline_images(self) -> str | None:
        """The images that the baselines were measured on; None if there are no labels."""
        monitor = self.inputs.monitor
        if monitor is None:
            return None
        sample = monitor.sampled(*BASELINE_IMAGES)
        return f"{len(sample.bank):,} training and {len(sample.queries):,} test images"

    @property
    def chief(self) -> bool:
        """Whether this process writes the run's files, and prints."""
        return Workers(self.strategy).chief


def prepare(
    run: Run,
    output: Output,
    devices: Devices,
    folder: RunFolder,
    strategy: tf.distribute.Strategy,
) -> Prepared:
    """Loads the images, builds or restores the model, and creates the folder of a new run.

    A run without a checkpoint is new, even if it is to be resumed.

    Args:
        run: Its settings.
        output: Where it writes.
        devices: Where it is computed.
        folder: Its files, which the chief has claimed.
        strategy: TensorFlow's strategy for the devices.

    Raises:
        InputError: If anything is invalid or unavailable. Nothing has been written.
    """
    workers = Workers(strategy)
    chief = workers.chief
    inputs = workers.chief_first(lambda: _check(run, output, devices, folder, strategy))
    with workers.agreed(), strategy.scope():
        model = build_model(run, inputs)
    common = (run, output, devices, folder, strategy, inputs)
    if output.resume and folder.has_checkpoint():
        # Measured before the random weights are replaced.
        baselines = (folder.baselines() or _baselines(model, run, inputs)) if chief else {}
        with strategy.scope():
            path, model, resumed = resuming.restore(folder.checkpoints, model)
            synchronize(model)
        users = make_callbacks(output.callback, run) if chief else []
        if chief:
            folder.reopen(baselines)
        return Prepared(*common, model, baselines, f"going on from {path}", users, resumed)
    with workers.agreed():
        baselines = _baselines(model, run, inputs) if chief else {}
        start = load_weights(run, model, inputs.image_size) or "random"
        users = make_callbacks(output.callback, run) if chief else []
        if chief:
            folder.create(run, baselines)
    return Prepared(*common, model, baselines, start, users)


def _check(
    run: Run,
    output: Output,
    devices: Devices,
    folder: RunFolder,
    strategy: tf.distribute.Strategy,
) -> Inputs:
    """Checks what needs no model, and loads the images."""
    workers = Workers(strategy)
    chief = workers.chief
    devices.check_data_service()
    for name in output.callback if chief else ():
        user_code.find_function(name, "callback")
    if output.resume:
        folder.check_resumable(run)
    elif chief:
        folder.check_free(output.overwrite)
    inputs = load_inputs(run, workers)
    if output.resume:
        resuming.check_begun_with(folder.checkpoints, inputs.description, inputs.fingerprints)
    _warn_if_short(inputs)
    t, replicas = run.training, strategy.num_replicas_in_sync
    if t.batch_size % (replicas * t.accumulate):
        parts = "" if t.accumulate == 1 else f" times accumulate, {t.accumulate}"
        raise InputError(
            f"batch_size must be a multiple of {replicas}, the number of devices{parts}; "
            f"got {t.batch_size}"
        )
    return inputs


def _warn_if_short(inputs: Inputs) -> None:
    """Warns of a training that has too few steps, as with a small folder of images."""
    if inputs.steps_per_epoch < 5 and inputs.steps < 1000:
        warnings.warn(
            f"too few steps to learn: {inputs.steps:,} in all, {inputs.steps_per_epoch} per epoch, "
            "where thousands are needed; choose a smaller --batch-size than "
            f"{inputs.batch_size} or more --epochs than {inputs.epochs}",
            stacklevel=3,
        )


def build_model(run: Run, inputs: Inputs) -> JointEmbedding:
    """The compiled model of a run, with random weights from the run's seed."""
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(run.training.precision)
    try:
        return _build_model(run, inputs)
    finally:
        keras.mixed_precision.set_global_policy(policy)


def _build_model(run: Run, inputs: Inputs) -> JointEmbedding:
    m, t = run.model, run.training
    keras.utils.set_random_seed(t.seed)
    on_device = run.data.augment_on == "device"
    model = method(m.method).from_settings(
        m,
        backbones.build(m, inputs.image_size, inputs.preprocessing.channels),
        Length(inputs.steps, inputs.steps_per_epoch, len(inputs.images)),
        augmentation=inputs.augmentation if on_device else None,
        image_size=inputs.image_size if on_device else None,
        small_views=m.small_views_of(inputs.image_size),
    )
    model.preprocessing = inputs.preprocessing
    optimizers = paper_optimizers(
        t.batch_size,
        steps=inputs.steps,
        base_learning_rate=t.learning_rate,
        momentum=t.momentum,
        weight_decay=t.weight_decay,
        warmup_steps=t.warmup_epochs * inputs.steps_per_epoch,
        predictor_decay=t.predictor_decay,
        optimizer=t.optimizer,
        schedule=t.schedule,
        zero_gradients=t.zero_gradients,
    )
    model.compile(**optimizers, jit_compile=t.jit_compile, accumulate=t.accumulate)
    synchronize(model)
    return model


def measure_baselines(model: JointEmbedding, monitor: KNNMonitor | None) -> dict[str, float | None]:
    """The kNN accuracies of raw pixels and of the model's random weights; None if unlabeled.

    They are measured on a sample of at most `BASELINE_IMAGES`.
    """
    channels = 3 if monitor is None else monitor.bank.channels
    encoders = {"raw_pixels": raw_pixels_of(channels), "random_weights": None}
    keys = {name: baseline_key("knn_top1", name) for name in encoders}
    if monitor is None:
        return dict.fromkeys(keys.values())
    monitor.set_model(model)  # says before all work if there is no room for its features
    sample = monitor.sampled(*BASELINE_IMAGES)
    sample.set_model(model)
    return {keys[name]: sample.evaluate(encoder).top1 for name, encoder in encoders.items()}


def _baselines(model: JointEmbedding, run: Run, inputs: Inputs) -> dict[str, float | None]:
    """The baselines of a run: without labels, view retrieval in place of kNN accuracy."""
    found = measure_baselines(model, inputs.monitor)
    if inputs.monitor is None:
        pixels = raw_pixels_of(inputs.preprocessing.channels)
        encoders = {"raw_pixels": pixels, "random_weights": Encoder.of(model)}
        for name, encoder in encoders.items():
            found[baseline_key("view_retrieval", name)] = retrieval(encoder, run, inputs)
    return found


def retrieval(encoder: Encoder, run: Run, inputs: Inputs) -> float:
    """How often an encoder finds the other view of a training image."""
    return view_retrieval(encoder, inputs.images, inputs.augmentation, inputs.image_size)
