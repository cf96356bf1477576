"""Detecting collapse during training (paper, Section 4.1; Garrido et al. 2023)."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from keras_simsiam.data import ImagesLike, as_images
from keras_simsiam.errors import InputError, TrainingDiverged, shown
from keras_simsiam.evaluation import Encoder, preprocessing_of
from keras_simsiam.evaluation.averages import settled
from keras_simsiam.evaluation.collapse import effective_rank, singular_values
from keras_simsiam.fields import Count, Share, checks_arguments
from keras_simsiam.models.base import JointEmbedding
from keras_simsiam.models.objectives import z_std
from keras_simsiam.preprocessing import Preprocessing, channels_of

_LEAST_IMAGE_STD = 1.0
"""Least standard deviation of a pixel over the images, of 255; photographs have 50 or more."""


class CollapseMonitor(keras.callbacks.Callback):
    """Measures after each epoch how close a `SimSiam`, or another method, is to collapse.

    It logs, for whole images and in inference mode::

        backbone_std   projector_std    spread on the unit sphere: 1 is uniform, 0 is one point
        backbone_rank  projector_rank   RankMe, the number of dimensions that features vary in

    It warns once if all z are nearly the same (complete collapse) or vary in few dimensions
    (dimensional collapse, which is what happens if the projector ends in BatchNorm), or if the
    images themselves hardly differ. In the first steps, or with a slow momentum, BatchNorm's
    running averages are those of some of the images, see `keras_simsiam.evaluation.averages`.

    Args:
        images: uint8 ``[N, H, W, 3]``, or the ``images`` of a dataset from `keras_simsiam.load`.
        samples: About how many of the images to measure on.
        stop: Whether to stop the training when it collapses.
        least_std: A ``projector_std`` below this is a complete collapse.
        least_rank: A ``projector_rank`` below this fraction of the largest possible one, or below
            3, is a dimensional collapse. If only a few dimensions are possible, half of them
            suffice.
        preprocessing: How images become the model's input; see `KNNMonitor`.
        log_dir: Folder of TensorBoard logs for histograms of the singular values; None for no
            histograms.

    Attributes:
        collapse: The warning; None if there was none.
        collapsed: Whether the model was collapsed after the last epoch; it may have recovered.
        spectra: The latest singular values of the features of "backbone" and "projector", largest
            first.

    Raises:
        InputError: If images are not uint8, or a number is out of range.
    """

    @checks_arguments
    def __init__(
        self,
        images: ImagesLike,
        samples: Count = 1024,
        stop: bool = False,
        least_std: Share = 0.1,
        least_rank: Share = 0.01,
        preprocessing: Preprocessing | Count | None = None,
        log_dir: str | None = None,
    ):
        super().__init__()
        self.images = as_images(images, channels=channels_of(preprocessing, images))
        self.sample = self.images.sample(samples)
        self.stop = stop
        self.least_std, self.least_rank = least_std, least_rank
        self.preprocessing = preprocessing
        self.log_dir = log_dir
        self.collapse: str | None = None
        self.collapsed = False
        self.spectra: dict[str, np.ndarray] = {}
        self._decoded: dict[int, np.ndarray] = {}

    def measure(self) -> dict[str, float]:
        """The metrics of the model as it is now.

        Raises:
            InputError: If the model is not a `SimSiam` or another method's model.
            TrainingDiverged: If features are not finite.
        """
        if not isinstance(self.model, JointEmbedding):
            raise InputError(
                "the model of CollapseMonitor must be a SimSiam or another method's model; "
                f"got {shown(self.model)}"
            )
        preprocessing = preprocessing_of(
            self.model, self.preprocessing, default_size=self.images.side()
        )
        encoder = Encoder.of(self.model, preprocessing)
        with settled(self.model, self.images, preprocessing):
            h = tf.concat([*map(encoder, self._batches(preprocessing.image_size))], 0)
            features = {"backbone": h, "projector": self.model.projector(h, training=False)}
        if not all(np.isfinite(f).all() for f in features.values()):
            raise TrainingDiverged("the features of whole images are no longer finite")
        self.spectra = {part: singular_values(f) for part, f in features.items()}
        stds = {f"{part}_std": float(z_std(f)) for part, f in features.items()}
        ranks = {f"{part}_rank": effective_rank(s) for part, s in self.spectra.items()}
        return {**stds, **ranks}

    def get_state(self) -> dict:
        """The state that `set_state` restores in a resumed run, as values for JSON."""
        return {
            "collapse": self.collapse,
            "collapsed": self.collapsed,
            "spectra": {part: values.tolist() for part, values in self.spectra.items()},
        }

    def set_state(self, state: dict) -> None:
        """Restores the state from `get_state`; what it lacks is left unchanged."""
        self.collapse = state.get("collapse", self.collapse)
        self.collapsed = state.get("collapsed", self.collapsed)
        spectra = state.get("spectra", self.spectra)
        self.spectra = {part: np.asarray(values) for part, values in spectra.items()}

    def on_epoch_end(self, epoch, logs=None):
        """Measures, and warns or stops the training if it has collapsed."""
        measured = self.measure()
        if logs is not None:
            logs.update(measured)
        if self.log_dir is not None:
            self._log_spectra(epoch)
        warning = self._images_warning
        if warning is None:
            warning = self._warning(measured["projector_std"], measured["projector_rank"])
        self.collapsed = warning is not None
        if warning is not None and self.collapse is None:
            self.collapse = warning
            warnings.warn(f"epoch {epoch + 1}: {warning}", stacklevel=2)
            if self.stop:
                self.model.stop_training = True

    def _batches(self, size: int) -> Iterator[tf.Tensor]:
        """Batches of the sample, which is decoded once and kept, because it is small."""
        if size not in self._decoded:
            self._decoded = {size: np.concatenate([*self.sample.resized(size)])}
        return as_images(self._decoded[size], channels=None).resized(size)

    def _log_spectra(self, epoch: int) -> None:
        with self._writer.as_default(step=epoch):
            for part, values in self.spectra.items():
                share = values / max(values[0], np.finfo(float).tiny)
                name = f"log10 of {part} singular values, the largest 1"
                tf.summary.histogram(name, np.log10(np.maximum(share, 1e-8)))
        self._writer.flush()

    @functools.cached_property
    def _writer(self) -> tf.summary.SummaryWriter:
        return tf.summary.create_file_writer(self.log_dir)

    @functools.cached_property
    def _images_warning(self) -> str | None:
        """The warning for the images of the sample, if any; they are the same in each epoch."""
        ((size, images),) = self._decoded.items()
        few = max(1, size // 32)  # some of the pixels suffice, and float copies of all are large
        std = images[:, ::few, ::few].std(axis=0, dtype=np.float32).mean()
        if std >= _LEAST_IMAGE_STD:
            return None
        return (
            "the representations are collapsing: all images are nearly the same (a pixel's "
            f"standard deviation over the images is {std:.2f} of 255); check how they were read"
        )

    def _warning(self, std: float, rank: float) -> str | None:
        """The warning for these values of z, if any."""
        possible = len(self.spectra["projector"])
        if std < self.least_std:
            found = f"all images have nearly the same z (z_std {std:.3f}; 1 is spread out)"
        elif rank < min(max(3.0, self.least_rank * possible), possible / 2):
            found = f"z varies in only {rank:.1f} of {possible} dimensions"
        else:
            return None
        return (
            f"the representations are collapsing: {found}; check the stop-gradient, the predictor, "
            "BatchNorm and the learning rate"
        )
