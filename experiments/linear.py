"""Linear accuracy of what an experiment has trained, and of the same networks untrained."""

from __future__ import annotations

import functools

from experiments import common
from keras_simsiam import Run, data, load_encoder, metrics
from keras_simsiam.evaluation import Encoder, extract, linear_accuracy, raw_pixels
from keras_simsiam.training.inputs import load_inputs
from keras_simsiam.training.prepare import build_model
from keras_simsiam.tuning.ledger import Entry
from keras_simsiam.tuning.results import Found
from keras_simsiam.tuning.space import SEED


def add(found: Found) -> None:
    """Adds the linear accuracies of all trials' encoders, and those without training."""
    run = found.space.base

    def measure(entry: Entry) -> dict[str, float]:
        top1 = accuracy(load_encoder(found.saved_model(entry)), run)
        return {"linear_top1": top1, **baselines(run, entry.values[SEED])}

    common.add_to_trials(found, "linear", measure)


@functools.cache
def baselines(base: Run, seed: int) -> dict[str, float]:
    """Linear accuracy of the weights drawn with a seed, and of the pixels."""
    run = base.replace(training={"seed": seed})
    encoder = Encoder.of(build_model(run, load_inputs(run)))
    return {
        metrics.baseline_key("linear_top1", "random_weights"): accuracy(encoder, run),
        metrics.baseline_key("linear_top1", "raw_pixels"): _raw_pixels(base),
    }


@functools.cache
def _raw_pixels(base: Run) -> float:
    return accuracy(raw_pixels, base)


def accuracy(encoder: Encoder, run: Run) -> float:
    """Accuracy of a linear classifier on the features of an encoder."""
    bank, queries = (
        data.load(run.data.dataset, split, run.data.data_dir) for split in ("train", "validation")
    )
    return linear_accuracy(
        extract(encoder, bank.images),
        bank.labels,
        extract(encoder, queries.images),
        queries.labels,
    ).top1
