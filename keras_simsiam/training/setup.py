"""What a run needs before its first step: its images, its model, its baselines."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from keras_simsiam import config, data, datasets
from keras_simsiam.config import Run
from keras_simsiam.errors import InputError, NoSuchSplit
from keras_simsiam.evaluation import raw_pixels
from keras_simsiam.models import pytorch
from keras_simsiam.models.methods import method
from keras_simsiam.models.resnet import BACKBONES
from keras_simsiam.models.simsiam import SimSiam
from keras_simsiam.optimizers import paper_optimizers
from keras_simsiam.preprocessing import Preprocessing
from keras_simsiam.training.callbacks import KNNMonitor


@dataclass
class Inputs:
    """What a run trains and is evaluated on.

    Attributes:
        images: To train on.
        monitor: Evaluates with kNN; None where there are no labels or no test images.
        size: Side of the views in pixels.
        batch_size: Images a step.
        epochs: Epochs in all.
        description: The dataset and its sizes, for people.
    """

    images: data.ImagesLike
    monitor: KNNMonitor | None
    size: int
    batch_size: int
    epochs: int
    description: str

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the dataset."""
        return len(self.images) // self.batch_size

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps_per_epoch


def load_inputs(run: Run) -> Inputs:
    """Loads the images, and the labelled ones for kNN where there are any.

    Raises:
        InputError: If they cannot be had, or do not fit the run.
    """
    d, e, t = run.data, run.evaluation, run.training
    pretraining = datasets.find(d.dataset)[0].pretraining
    train = data.load(d.dataset, pretraining, d.data_dir)
    if t.batch_size > len(train.images):
        raise InputError(
            f"batch_size {t.batch_size} is larger than the dataset, which has "
            f"{len(train.images):,} training images"
        )
    size = d.image_size or data.as_images(train.images).side()
    bank = train if pretraining == "train" else data.load(d.dataset, "train", d.data_dir)
    test = _test_images(d.dataset, d.data_dir) if bank.labels is not None else None
    monitor = None
    description = f"{d.dataset}, {len(train.images):,} training images"
    if test is not None and test.labels is not None:
        description += f", {len(test.images):,} test images, {len(bank.class_names)} classes"
        monitor = KNNMonitor(
            bank.images,
            bank.labels,
            test.images,
            test.labels,
            every=e.knn_every,
            k=e.knn_k,
            temperature=e.knn_temperature,
            image_size=size,
            mean=run.augmentation.mean,
            std=run.augmentation.std,
            epochs=t.epochs,
        )
    return Inputs(train.images, monitor, size, t.batch_size, t.epochs, description)


def _test_images(dataset: str, data_dir: str | None) -> data.Dataset | None:
    """The test images; None where one's own folder has none, which is no error."""
    try:
        return data.load(dataset, "validation", data_dir)
    except NoSuchSplit:
        return None


def build_model(run: Run, inputs: Inputs) -> SimSiam:
    """The compiled model of a run, its weights drawn with the run's seed."""
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(run.training.precision)
    try:
        return _build_model(run, inputs)
    finally:
        keras.mixed_precision.set_global_policy(policy)


def _build_model(run: Run, inputs: Inputs) -> SimSiam:
    m, t = run.model, run.training
    keras.utils.set_random_seed(t.seed)
    backbone = BACKBONES[m.backbone](width=m.width, stem=m.stem)
    on_device = run.data.augment_on == "device"
    model = method(m.method).from_settings(
        m,
        backbone,
        augmentation=run.augmentation if on_device else None,
        image_size=inputs.size if on_device else None,
    )
    model.preprocessing = Preprocessing(inputs.size, run.augmentation.mean, run.augmentation.std)
    optimizers = paper_optimizers(
        t.batch_size,
        inputs.steps,
        t.learning_rate,
        t.momentum,
        t.weight_decay,
        t.warmup_epochs * inputs.steps_per_epoch,
        t.predictor_decay,
        t.optimizer,
        t.schedule,
        t.zero_gradients,
    )
    model.compile(**optimizers, jit_compile=t.jit_compile)
    return model


def load_weights(run: Run, model: SimSiam) -> str | None:
    """Gives a model the weights of PyTorch's that its run begins from, and says which, if any."""
    path = run.model.pytorch_weights
    if path is None:
        return None
    weights = pytorch.read_pytorch(path)
    whole = pytorch.is_whole(weights, model)
    pytorch.assign(model if whole else model.backbone, weights, path)
    return f"{'all of SimSiam' if whole else 'the backbone'} from {path}"


def views_of(
    run: Run,
    inputs: Inputs,
    start_step: int = 0,
    data_service: str | None = None,
    part: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """The batches of a run, from a step on; arguments as for `keras_simsiam.data.views`."""
    return data.views(
        inputs.images,
        run.augmentation,
        inputs.batch_size,
        run.training.seed,
        inputs.size,
        start_step,
        run.data.augment_on,
        pairs=2 if run.model.symmetry == "two_pairs" else 1,
        part=part,
        data_service=data_service,
    )


def measure_baselines(model: SimSiam, monitor: KNNMonitor | None) -> dict[str, float | None]:
    """kNN accuracy without any training: of the pixels, and of the network's random weights."""
    if monitor is None:
        return {"knn_top1_raw_pixels": None, "knn_top1_random_weights": None}
    monitor.set_model(model)
    return {
        "knn_top1_raw_pixels": monitor.evaluate(raw_pixels).top1,
        "knn_top1_random_weights": monitor.evaluate().top1,
    }


def describe(run: Run, inputs: Inputs, model: SimSiam, baselines: dict) -> str:
    """What the run is going to do, for people."""
    m, t, a = run.model, run.training, run.augmentation
    parts = {
        part.name: sum(int(np.prod(v.shape)) for v in part.trainable_variables)
        for part in (model.backbone, model.projector, model.predictor)
    }
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    rate = t.learning_rate * t.batch_size / 256
    lines = {
        "dataset": inputs.description,
        "views": f"{inputs.size}×{inputs.size} pixels, made on the {run.data.augment_on}"
        f"{', blurred' if a.blur_probability else ', not blurred'}",
        "model": f"{m.backbone}, width {m.width}, {m.stem} stem; "
        + ", ".join(f"{name} {count:,}" for name, count in parts.items())
        + f" parameters; stop-gradient {'on' if m.stop_gradient else 'OFF'}",
        "variant": ", ".join(
            f"{name} {getattr(m, name)}"
            for name in ("batch_norm", "predictor", "similarity", "symmetry")
            if getattr(m, name) != getattr(config.Model(), name)
        )
        or "the paper's",
        "training": f"{t.epochs} epochs of {inputs.steps_per_epoch:,} steps of {t.batch_size} "
        f"images, {inputs.steps:,} steps in all; {t.optimizer}, learning rate {rate:.4g} "
        f"({t.learning_rate:g} × {t.batch_size} / 256), weight decay {t.weight_decay:g}; "
        f"seed {t.seed}; {t.precision}{', deterministic' if t.deterministic else ''}",
        "device": ", ".join(d.name.removeprefix("/device:") for d in devices),
    }
    if inputs.monitor is None:
        lines["kNN"] = "left out: there are no labelled training and test images"
    else:
        lines["kNN baselines"] = (
            f"raw pixels {baselines['knn_top1_raw_pixels']:.1%}, "
            f"random weights {baselines['knn_top1_random_weights']:.1%}, "
            f"chance {1 / (1 + int(inputs.monitor.bank_labels.max())):.1%} "
            f"(top-1, k={inputs.monitor.k})"
        )
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())
