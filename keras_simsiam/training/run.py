"""One training run, from its configuration to its folder of results."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_simsiam.config import Run
from keras_simsiam.errors import InputError
from keras_simsiam.models.simsiam import SimSiam
from keras_simsiam.training import checkpoints
from keras_simsiam.training.devices import Devices, is_chief, make_strategy
from keras_simsiam.training.output import Output, RunFolder
from keras_simsiam.training.session import Session
from keras_simsiam.training.setup import (
    Inputs,
    build_model,
    describe,
    load_inputs,
    load_weights,
    measure_baselines,
)


def train(
    run: Run,
    output: Output,
    prepare: Callable[[SimSiam], None] | None = None,
    devices: Devices | None = None,
) -> dict:
    """Trains, and writes ``run_dir/name`` and ``saved_model_dir/name``.

    Ctrl-C ends it early: the checkpoint, figures and summary so far are written all the same.
    SIGTERM, which comes before a machine is taken away, ends it after the step under way with a
    checkpoint and nothing else.

    Args:
        run: The configuration.
        output: Where to write.
        prepare: Called with the compiled model before its first step, for experiments that
            change what no setting does.
        devices: On what to train; of several processes, the chief alone writes files.

    Returns:
        The summary, as in ``summary.json``; after SIGTERM its ``status``, "preempted", and
        ``steps``.

    Raises:
        InputError: If something does not fit; nothing has been written then.
        TrainingDiverged: If the loss is not finite; the run's folder then holds the last good
            checkpoint, and figures and summary up to there.
        CannotWrite: If the disk is full, or the like; the checkpoints so far are whole.
    """
    if output.overwrite and output.resume:
        raise InputError("--overwrite and --resume exclude each other; give one of them")
    folder = RunFolder(output, run.data.dataset)
    devices = devices or Devices()
    strategy = make_strategy(devices)
    devices.check_data_service()
    if output.resume:
        folder.check_resumable(run)
    elif is_chief(strategy):
        folder.check_free(output.overwrite)
    if run.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    inputs = load_inputs(run)
    if run.training.batch_size % strategy.num_replicas_in_sync:
        raise InputError(
            f"batch_size {run.training.batch_size} cannot be shared out evenly over "
            f"{strategy.num_replicas_in_sync} devices"
        )
    with strategy.scope():
        model = build_model(run, inputs)
        if prepare is not None:
            prepare(model)
    chief = is_chief(strategy)
    if not chief:
        inputs.monitor = None  # who writes no files needs no accuracy
    baselines = folder.baselines() if output.resume else measure_baselines(model, inputs.monitor)
    loaded = None if output.resume else load_weights(run, model)
    if chief:
        print(describe(run, inputs, model, baselines))
        if loaded is not None:
            print(f"begins with {loaded}")
    resumed = {}
    if output.resume:
        with strategy.scope():
            model, resumed = _load(folder, model, inputs)
    elif chief:
        folder.create(run, baselines)
    if chief:
        print(f"writing to {folder.path} and {folder.saved_model}\n", flush=True)
    training = Session(
        run, output, folder, inputs, model, baselines, resumed, strategy, devices.data_service
    )
    return training.run_to_the_end()


def _load(folder: RunFolder, built: SimSiam, inputs: Inputs) -> tuple[SimSiam, dict]:
    """The model of the last checkpoint, and what was remembered in it."""
    path, resumed = checkpoints.latest(folder.checkpoints)
    if resumed["dataset"] != inputs.description:
        raise InputError(
            f"checkpoint '{path}' is of other images: {resumed['dataset']}; here are "
            f"{inputs.description}"
        )
    written_by = resumed.get("keras", keras.__version__)
    if written_by.split(".")[0] != keras.__version__.split(".")[0]:
        raise InputError(
            f"checkpoint '{path}' was written by Keras {written_by}; this is Keras "
            f"{keras.__version__}, which cannot read it"
        )
    model = keras.models.load_model(path)
    checkpoints.check_fits(model, built, path)
    print(f"going on from {path}, step {model.steps_done:,}")
    return model, resumed
