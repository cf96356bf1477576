"""Describes in a few lines what a run is about to do."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from keras_simsiam import config, metrics
from keras_simsiam.training.inputs import made_natively
from keras_simsiam.training.prepare import Prepared

_SHOWN = (
    "method",
    "backbone",
    "width",
    "stem",
    "backbone_weights",
    "pytorch_weights",
    "start_from",
)
"""Settings of the model that always appear; others are listed if they are not the default."""


def describe(prepared: Prepared) -> str:
    """The description of a run that is ready to train."""
    run, inputs, folder = prepared.run, prepared.inputs, prepared.folder
    natively = made_natively(run, inputs, prepared.devices.data_service)
    lines = {
        "dataset": f"{inputs.description}{_pixels(prepared)}{inputs.left_out}",
        "views": f"{_views(prepared)}, made on the {run.data.augment_on}, "
        f"{'blurred' if run.augmentation.blur_probability else 'not blurred'}"
        f"{', by compiled operations' if natively else ''}{_without(prepared)}",
        "model": _model(prepared),
        "settings": _changed(run.model) or "the paper's",
        "weights": f"{prepared.start}, step {prepared.model.steps_done:,}",
        "training": _training(prepared),
        "device": _devices(),
        "kNN baselines": _baselines(prepared),
        "output": f"{folder.path} and {folder.saved_model}",
    }
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())


def _pixels(prepared: Prepared) -> str:
    """The channels and the range of the values in the files, where they are not the usual ones."""
    inputs, text = prepared.inputs, ""
    channels = inputs.preprocessing.channels
    if channels != 3:
        text += f", {channels} channel{'s' * (channels > 1)}"
    if measured := inputs.preprocessing.pixels.range:
        text += f", of whose values {measured} become 0 to 255"
    if inputs.augmentation != prepared.run.augmentation:
        mean, std = (
            " ".join(f"{v:g}" for v in values)
            for values in (inputs.preprocessing.mean, inputs.preprocessing.std)
        )
        text += f", mean {mean}, std {std}"
    return text


def _without(prepared: Prepared) -> str:
    """What is left out of the views, because there are not three channels."""
    dropped = [*prepared.run.augmentation.on_color]
    if not dropped or prepared.inputs.preprocessing.channels == 3:
        return ""
    return f", without {' and '.join(dropped)}, which need three channels"


def _views(prepared: Prepared) -> str:
    model, size = prepared.run.model, prepared.inputs.image_size
    large, small = f"{size}×{size} pixels", model.small_views_of(size)
    if small is None:
        return large if model.view_count == 2 else f"{model.view_count} of {large}"
    return f"{model.view_count} of {large} and {small.count} of {small.size}×{small.size}"


def _model(prepared: Prepared) -> str:
    m = prepared.run.model
    counts = [
        f"{name} {sum(int(np.prod(v.shape)) for v in part.trainable_variables):,}"
        for name, part in prepared.model.parts.items()
    ]
    return f"{m.method}, {m.architecture}; trainable parameters: {', '.join(counts)}"


def _changed(model: config.Model) -> str:
    """The settings of a model that differ from the defaults."""
    names = [f.name for f in dataclasses.fields(model) if f.name not in _SHOWN]
    return ", ".join(
        f"{name} {getattr(model, name)}"
        for name in names
        if getattr(model, name) != getattr(config.Model(), name)
    )


def _training(prepared: Prepared) -> str:
    t, inputs = prepared.run.training, prepared.inputs
    parts = "" if t.accumulate == 1 else f" in {t.accumulate} parts"
    return (
        f"{t.epochs} epochs of {inputs.steps_per_epoch:,} steps of {t.batch_size} images{parts}, "
        f"{inputs.steps:,} steps in all; {t.optimizer}, learning rate "
        f"{t.learning_rate * t.batch_size / 256:.4g} ({t.learning_rate:g} × {t.batch_size} / 256), "
        f"weight decay {t.weight_decay:g}; seed {t.seed}; {t.precision}"
        f"{', deterministic' if t.deterministic else ''}"
    )


def _devices() -> str:
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return ", ".join(d.name.removeprefix("/device:") for d in devices)


def _baselines(prepared: Prepared) -> str:
    monitor = prepared.inputs.monitor
    if monitor is None:
        found = metrics.baselines(prepared.baselines, "view_retrieval")
        views = ", ".join(f"{label} {value:.1%}" for label, value in found.items())
        return f"none, because there are no labeled training and test images; of views: {views}"
    measured = metrics.baselines(prepared.baselines, "knn_top1")
    chance = 1 / (1 + int(monitor.bank_labels.max()))
    cells = [f"{label} {value:.1%}" for label, value in {**measured, "chance": chance}.items()]
    return f"{', '.join(cells)} (top-1, k = {monitor.k}, {prepared.baseline_images})"
