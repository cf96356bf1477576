"""Learns a classifier from labels: ``python -m keras_simsiam.fine_tune --dataset folder:PATH``."""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from keras_simsiam import callable_module, datasets, options, tables
from keras_simsiam.collection_options import check_free
from keras_simsiam.errors import InputError, Terminated, printable, shown
from keras_simsiam.fields import Settings, setting, switch
from keras_simsiam.files import claimed
from keras_simsiam.fine_tuning_options import Learning


@dataclass(frozen=True)
class FineTuning(Settings):
    """What to learn from."""

    saved_model: str
    """The network to start from: the folder of a run or of its SavedModel, a .keras file, or
    keras:NAME for a model of keras.applications; required."""
    dataset: str = setting(help=f"The images: {', '.join(datasets.DATASETS)}; required")
    """See `keras_simsiam.datasets`."""
    labels: list[str] = setting(["1"], metavar="SHARE ...|FILE")
    """Shares of the training labels to learn from, such as 0.01 0.1 1, each with at least one image
    of every class; or a CSV file with the columns name and label, for some images in the folder."""
    output: str | None = setting(None, alias="-o")
    """Folder for the classifier; by default saved_models/NAME-classifier."""
    data_dir: str | None = None
    """Where the dataset is stored; see train --help."""
    image_size: int | None = setting(None, at_least=1)
    """Side of the images in pixels, for networks that take any size."""
    overwrite: bool = switch(False)
    """Replace an existing classifier."""

    def __post_init__(self) -> None:
        super().__post_init__()
        datasets.find(self.dataset)
        _ = self.shares

    @property
    def file(self) -> str | None:
        """The CSV file of labels."""
        return self.labels[0] if len(self.labels) == 1 and not _is_number(self.labels[0]) else None

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of the labels."""
        if self.file is not None:
            return (1.0,)
        wrong = [text for text in self.labels if not (_is_number(text) and 0 < float(text) <= 1)]
        if wrong or not self.labels:
            raise InputError(
                "labels must be shares above 0 and at most 1, or one CSV file; "
                f"got {shown(wrong or self.labels)}"
            )
        return tuple(float(text) for text in self.labels)

    @property
    def folder(self) -> str:
        """Where the classifier goes."""
        name = os.path.basename(os.path.normpath(self.saved_model)).removesuffix(".keras")
        return self.output or os.path.join("saved_models", f"{name.replace(':', '-')}-classifier")


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the options and fine-tunes; returns the exit code."""
    parser = options.Parser("fine_tune", "Learn a classifier from labels, and measure it.")
    parser.add_arguments(FineTuning, dest="tuning")
    parser.add_arguments(Learning, dest="learning")
    parsed = parser.parse_args(argv)
    t: FineTuning = parsed.tuning
    check_free(t.overwrite, t.folder)
    # Claimed before the training, so that a folder that cannot be written to is reported at once.
    with claimed(t.folder, beside=True):
        try:
            _fine_tune(t, parsed.learning)
        except KeyboardInterrupt as e:
            raise Terminated.of(e, "nothing is written") from None
    return 0


def _fine_tune(t: FineTuning, learning: Learning) -> None:
    from keras_simsiam.collection.labeling import read_labels
    from keras_simsiam.export import check_replaceable
    from keras_simsiam.fine_tuning import find_labeled, fine_tune, report
    from keras_simsiam.training.devices import op_determinism

    started = time.perf_counter()
    check_replaceable(pathlib.Path(t.folder))
    labels = None if t.file is None else read_labels(t.file)
    images = find_labeled(t.dataset, labels, t.data_dir)
    tested = "no test images" if images.test is None else f"{len(images.test):,} test images"
    print(
        f"{printable(t.saved_model)}, {learning.network}, on {len(images.train):,} labeled images "
        f"of {len(images.class_names)} classes, {tested}, seed {learning.seed}",
        flush=True,
    )
    with op_determinism(True):
        found = fine_tune(
            t.saved_model,
            images,
            shares=t.shares,
            image_size=t.image_size,
            progress=lambda x: print(f"{time.perf_counter() - started:4.0f} s  {x}", flush=True),
            **vars(learning),
        )
    about = {
        "saved_model": t.saved_model,
        "dataset": t.dataset,
        "labels": t.labels,
        **vars(learning),
    }
    report.write(found, t.folder, about)
    where = (
        "on the test images"
        if images.test is not None
        else f"of each labeled image if the part of {found.folds} that it is in is left out"
    )
    print(
        f"\n{tables.markdown(report.table(found))}\n\naccuracy {where}\n"
        f"left out: {', '.join(map(printable, found.left_out[:5])) or 'nothing'}\n"
        f"classifier in {t.folder}; {time.perf_counter() - started:.0f} seconds"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


callable_module.calls(__name__, "keras_simsiam.fine_tuning")

if __name__ == "__main__":
    options.run_command(main)
