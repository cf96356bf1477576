"""Watching for collapse while training (paper, Section 4.1; Garrido et al. 2023)."""

from __future__ import annotations

import functools
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_simsiam.config import IMAGENET_MEAN, IMAGENET_STD
from keras_simsiam.data import ImagesLike, as_images
from keras_simsiam.evaluation.collapse import effective_rank, singular_values
from keras_simsiam.models.objectives import z_std
from keras_simsiam.preprocessing import Preprocessing


class CollapseMonitor(keras.callbacks.Callback):
    """Measures after each epoch how far a `SimSiam` is from collapse, and warns once.

    On whole images and in evaluation mode it logs::

        backbone_std   projector_std    spread over the sphere: 1 is all of it, 0 is one point
        backbone_rank  projector_rank   RankMe, over how many dimensions features really spread

    It warns when z gathers in one point (a full collapse), or in a few dimensions (a partial one,
    which is what BatchNorm at the projector's end makes of it).

    Args:
        images: To measure on, as `keras_simsiam.data.load` gives them.
        samples: About how many of them; all where there are fewer.
        stop: Whether to end the training when it collapses.
        least_std: Less spread of z than this is a full collapse.
        least_rank: Over fewer dimensions than this part of those that z could have is a partial
            collapse; so is over fewer than three, where z has more than a few.
        image_size: Side in pixels that the model is trained at; that of the images where None.
        mean: Of each channel, in [0, 1], as in training.
        std: Of each channel.
        log_dir: Folder of TensorBoard logs, which gets the singular-value spectra as histograms of
            their logarithms; none where None.

    Attributes:
        collapse: The warning, or None.
        collapsed: Whether it would have been due after the last epoch, too: a run may recover.
        spectra: Singular values of the features of "backbone" and "projector", largest first,
            as measured last.
    """

    def __init__(
        self,
        images: ImagesLike,
        samples: int = 1024,
        stop: bool = False,
        least_std: float = 0.1,
        least_rank: float = 0.01,
        image_size: int | None = None,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        log_dir: str | None = None,
    ):
        super().__init__()
        self.stop = stop
        self.log_dir = log_dir
        self.least_std, self.least_rank = least_std, least_rank
        self.normalization = (mean, std)
        self.collapse: str | None = None
        self.collapsed = False
        self.spectra: dict[str, np.ndarray] = {}
        images = as_images(images)
        size = image_size or images.side()
        # Small enough to keep, so that no epoch decodes them again.
        self._images = np.concatenate([*images.sample(samples).whole(size)])

    def measure(self) -> dict[str, float]:
        """What it logs, of the model as it is now."""
        parts = {"backbone": [], "projector": []}
        size = self._images.shape[1]
        preprocessing = Preprocessing(size, *self.normalization)
        for batch in as_images(self._images).whole(size):
            x = preprocessing(batch)
            h = self.model.backbone(x, training=False)
            parts["backbone"].append(h)
            parts["projector"].append(self.model.projector(h, training=False))
        features = {part: tf.concat(rows, 0) for part, rows in parts.items()}
        self.spectra = {part: singular_values(f) for part, f in features.items()}
        stds = {f"{part}_std": float(z_std(f)) for part, f in features.items()}
        ranks = {f"{part}_rank": effective_rank(s) for part, s in self.spectra.items()}
        return {**stds, **ranks}

    def on_epoch_end(self, epoch, logs=None):
        """Measures, and warns or stops where it has collapsed."""
        measured = self.measure()
        if logs is not None:
            logs.update(measured)
        if self.log_dir is not None:
            self._log_spectra(epoch)
        judgement = self._judge(measured["projector_std"], measured["projector_rank"])
        self.collapsed = judgement is not None
        if self.collapsed and self.collapse is None:
            self.collapse = judgement
            warnings.warn(f"epoch {epoch + 1}: {self.collapse}", stacklevel=2)
            self.model.stop_training = self.stop

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

    def _judge(self, std: float, rank: float) -> str | None:
        """The warning that is due, or None."""
        possible = len(self.spectra["projector"])
        what = None
        if std < self.least_std:
            what = f"all images get nearly the same z (z_std {std:.3f}, where 1 is spread out)"
        elif rank < min(max(3.0, self.least_rank * possible), possible / 2):
            what = f"z varies in only {rank:.1f} of {possible} dimensions"
        if what is None:
            return None
        return (
            f"the representations are collapsing: {what}. Its features will be of little use; "
            "look at the stop-gradient, the predictor, BatchNorm and the learning rate"
        )
