"""The images of a run: loaded, checked, and made into batches of views."""

from __future__ import annotations

from dataclasses import dataclass, field

import tensorflow as tf

from keras_simsiam import augment, data, datasets
from keras_simsiam.augmentation import Augmentation, per_view
from keras_simsiam.config import Run
from keras_simsiam.errors import InputError, NoSuchSplit
from keras_simsiam.preprocessing import Preprocessing
from keras_simsiam.target_rules import by_image
from keras_simsiam.training.monitors import KNNMonitor
from keras_simsiam.workers import ALONE, Workers


@dataclass(frozen=True)
class Inputs:
    """The images of a run, and how long it trains on them.

    Attributes:
        images: Images to train on.
        monitor: Evaluates the model by kNN; None if there are no labels or no test images.
        preprocessing: Size and normalization of views, and of whole images in evaluation.
        batch_size: Images per step, over all devices.
        epochs: Epochs of the whole training.
        description: The dataset and its sizes.
        left_out: What was left out of the images and why, as text to append to the description.
        augmentation: That of the run, with what the images say: mean and std where these are
            measured, and without operations on color where there are not three channels.
        fingerprints: Digests of the images, see `keras_simsiam.data.Dataset.fingerprints`.
    """

    images: data.Images
    monitor: KNNMonitor | None
    preprocessing: Preprocessing
    batch_size: int
    epochs: int
    description: str
    left_out: str = ""
    augmentation: Augmentation = field(default_factory=Augmentation)
    fingerprints: dict[str, str] = field(default_factory=dict)

    @property
    def image_size(self) -> int:
        """Side of the views in pixels."""
        return self.preprocessing.image_size

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch: the number of whole batches in the dataset."""
        return len(self.images) // self.batch_size

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps_per_epoch


def load_inputs(run: Run, workers: Workers = ALONE) -> Inputs:
    """Loads the images, and the labeled images for kNN if there are any.

    Args:
        run: The run.
        workers: The processes that evaluate the model together.

    Raises:
        InputError: If the images are not available, or there are fewer than a batch.
    """
    dataset, batch_size = run.data.dataset, run.training.batch_size
    pretraining = datasets.find(dataset)[0].pretraining
    train = _loaded(run, pretraining)
    if batch_size > len(train.images):
        raise InputError(
            f"batch_size must be at most {len(train.images):,}, the number of training images; "
            f"got {batch_size}"
        )
    images = data.as_images(train.images, channels=None)
    augmentation = data.fitted(run.augmentation, images)
    size = run.data.image_size or images.side()
    bank = train if pretraining == "train" else _loaded(run, "train")
    queries = _test_images(run) if bank.labels is not None else None
    splits = {"training": train}
    if bank is not train:
        splits["labeled training"] = bank
    if queries is not None:
        splits["test"] = queries
    return Inputs(
        images=images,
        monitor=_monitor(run, bank, queries, workers) if queries is not None else None,
        augmentation=augmentation,
        preprocessing=Preprocessing.of_views([augmentation], size).replace(
            low=train.pixels.low, high=train.pixels.high
        ),
        batch_size=batch_size,
        epochs=run.training.epochs,
        description=data.sizes(dataset, train, queries),
        left_out=data.left_out(splits),
        fingerprints={k: v for kind, s in splits.items() for k, v in s.fingerprints(kind).items()},
    )


def _monitor(run: Run, bank: data.Dataset, queries: data.Dataset, workers: Workers) -> KNNMonitor:
    """The kNN evaluation of a run."""
    e, labeled = (
        run.evaluation,
        (
            data.as_images(bank.images, channels=None),
            bank.labels,
            data.as_images(queries.images, channels=None),
            queries.labels,
        ),
    )
    monitor = KNNMonitor(*labeled, every=e.knn_every, k=e.knn_k, temperature=e.knn_temperature)
    monitor.epochs, monitor.workers = run.training.epochs, workers
    return monitor


def _loaded(run: Run, split: str) -> data.Dataset:
    d = run.data
    return data.load(d.dataset, split, d.data_dir, d.check_files, d.pixels)


def _test_images(run: Run) -> data.Dataset | None:
    """The labeled test images; None if there are none, as in some users' folders."""
    try:
        found = _loaded(run, "validation")
    except NoSuchSplit:
        return None
    return None if found.labels is None else found


def made_natively(run: Run, inputs: Inputs, data_service: str | None) -> bool:
    """Whether `keras_simsiam.native` makes the views of a run, and not TensorFlow."""
    on_host = run.data.augment_on == "host" and data_service is None
    return on_host and augment.native_makes(per_view(inputs.augmentation, 2))


def views_of(
    run: Run,
    inputs: Inputs,
    start_step: int = 0,
    data_service: str | None = None,
    part: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """The batches of a run from a step on, see `keras_simsiam.data.views`."""
    return data.views(
        inputs.images,
        inputs.augmentation,
        inputs.batch_size,
        seed=run.training.seed,
        image_size=inputs.image_size,
        start_step=start_step,
        augment_on=run.data.augment_on,
        count=run.model.view_count,
        part=part,
        data_service=data_service,
        numbered=by_image(run.model.target),
        small_views=run.model.small_views_of(inputs.image_size),
    )
