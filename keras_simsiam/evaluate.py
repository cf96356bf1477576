"""Evaluates an exported encoder: ``python -m keras_simsiam.evaluate --saved-model PATH``."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from keras_simsiam import datasets, options, tables
from keras_simsiam.config import CheckFiles
from keras_simsiam.errors import InputError
from keras_simsiam.fields import Settings, setting
from keras_simsiam.files import claimed
from keras_simsiam.probes import Probes

if TYPE_CHECKING:
    from keras_simsiam.data import Dataset
    from keras_simsiam.evaluation import Encoder
    from keras_simsiam.workers import Workers


@dataclass(frozen=True)
class Evaluation(Settings):
    """What to evaluate."""

    saved_model: str
    """Folder of the SavedModel, such as saved_models/photo_patches; required."""
    dataset: str = setting("photo_patches", help=", ".join(datasets.DATASETS))
    """Name of the dataset."""
    data_dir: str | None = None
    """Folder or zip of the dataset; see train --help."""
    check_files: CheckFiles = "full"
    """What is read of each file of a folder:PATH first; see train --help."""
    strategy: Literal["none", "multi_worker"] = "none"
    """multi_worker to share the work with the machines in TF_CONFIG or of a Slurm job, each of
    which runs the same command; the first prints and writes the results."""
    output: str | None = None
    """Folder for evaluation.json, the confusion matrix, nearest neighbors, a map of the features
    and TensorBoard's embedding projector; without it, nothing is written."""

    def __post_init__(self) -> None:
        super().__post_init__()
        datasets.find(self.dataset)


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and evaluates; returns the exit code."""
    parser = options.Parser("evaluate", "Measure kNN and linear accuracy of an exported encoder.")
    parser.add_arguments(Evaluation, dest="evaluation")
    parser.add_arguments(Probes, dest="probes")
    parsed = parser.parse_args(argv)
    e: Evaluation = parsed.evaluation
    from keras_simsiam.training.devices import lost_workers, multi_worker
    from keras_simsiam.workers import ALONE, Workers

    workers = Workers(multi_worker()) if e.strategy == "multi_worker" else ALONE
    with lost_workers("start all workers again"), contextlib.ExitStack() as held:
        with workers.agreed():
            # Before the evaluation, so that a folder that cannot be written to is reported at once.
            if e.output is not None and workers.chief:
                held.enter_context(claimed(e.output))
        _evaluate(e, parsed.probes, workers)
    return 0


def _evaluate(e: Evaluation, probes: Probes, workers: Workers) -> None:
    from keras_simsiam import data
    from keras_simsiam.evaluation import probing, report

    started = time.perf_counter()
    encoder, train, test = workers.chief_first(lambda: _load(e))
    if workers.chief:
        print(
            f"{e.saved_model} on {data.sizes(e.dataset, train, test)}, seed {probes.seed}"
            f"{data.left_out({'training': train, 'test': test})}",
            flush=True,
        )
    evaluation = probing.evaluate(encoder, train, test, probes, workers)
    if not workers.chief:
        return
    seconds = time.perf_counter() - started
    print(f"\n{tables.markdown(report.table(evaluation))}\n\n{seconds:.0f} seconds")
    if e.output is not None:
        about = {"saved_model": e.saved_model, "dataset": e.dataset}
        report.write(evaluation, e.output, probes.seed, about)
        print(
            f"written to {e.output}; tensorboard --logdir {e.output}/projector shows the features"
        )


def _load(e: Evaluation) -> tuple[Encoder, Dataset, Dataset]:
    """The encoder, and the labeled images to train and to test on."""
    from keras_simsiam import data
    from keras_simsiam.export import load_encoder

    encoder = load_encoder(e.saved_model)
    train, test = (
        data.load(e.dataset, split, e.data_dir, e.check_files, encoder.preprocessing.pixels)
        for split in ("train", "validation")
    )
    if train.labels is None or test.labels is None:
        raise InputError(f"dataset '{e.dataset}' must have labels, which probes need")
    return encoder, train, test


if __name__ == "__main__":
    options.run_command(main)
