"""Few labels: what an encoder trained without labels is worth, on its own images and on others.

A linear classifier on the frozen features of a run, on those of the same network with random
weights and on the pixels, beside the whole network trained from scratch with the same labels.
"""

from __future__ import annotations

import argparse
import csv
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import sklearn.datasets

import keras_simsiam as ks
from experiments import common
from keras_simsiam import InputError, Run, documents, environment, options, plots
from keras_simsiam.collection.encoders import find_encoder
from keras_simsiam.data import Dataset
from keras_simsiam.evaluation import Encoder, raw_pixels
from keras_simsiam.evaluation.linear import part_of_each_class
from keras_simsiam.evaluation.probing import evaluate
from keras_simsiam.files import write_csv
from keras_simsiam.models import backbones
from keras_simsiam.preprocessing import Preprocessing
from keras_simsiam.probes import Probes
from keras_simsiam.tables import markdown
from keras_simsiam.tuning.results import mean_and_range

SHARES = (0.01, 0.05, 0.1, 1.0)
"""Shares of the training labels that are used, at least one label of each class."""

OURS, SCRATCH = "SimSiam", "from scratch"

RATES = (0.02, 0.1)
"""Learning rates from scratch. The better one on the test images counts, which favors it."""

STEPS, EPOCHS, BATCH = 300, 20, 64
"""A training from scratch takes at least so many steps and epochs, with batches of at most so many
images."""

Curve = dict[int, list[float]]
"""Accuracy of each seed over the number of labels."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measures every dataset, and writes its table and its figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--run", type=pathlib.Path, default=pathlib.Path("runs/photo_patches"), help="the run"
    )
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=list(DATASETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args(argv)
    if not (args.run / "config.yaml").is_file():
        raise InputError(f"run must be the folder of a run; got '{args.run}'")
    run = Run.load(args.run / "config.yaml")
    for dataset in args.datasets:
        started = time.perf_counter()
        curves = measure(find_encoder(args.run), run, *DATASETS[dataset](), args.seeds)
        minutes = (time.perf_counter() - started) / 60
        publish(f"{args.run.name}_on_{dataset}", run, dataset, args.seeds, curves, minutes)
    return 0


def digits() -> tuple[Dataset, Dataset]:
    """scikit-learn's 1,797 digits of 8×8 pixels: every fourth to test, the others to train."""
    found = sklearn.datasets.load_digits()
    pixels = np.round(found.images * (255 / 16)).astype(np.uint8)
    images = np.repeat(pixels[..., None], 3, axis=-1)
    names = tuple(map(str, found.target_names))
    tested = np.arange(len(images)) % 4 == 0
    train, test = (
        Dataset(images[rows], found.target[rows].astype(np.int64), names)
        for rows in (~tested, tested)
    )
    return train, test


def photo_patches() -> tuple[Dataset, Dataset]:
    """Patches of scikit-image's photographs and textures."""
    return ks.load("photo_patches", "train"), ks.load("photo_patches", "test")


DATASETS: dict[str, Callable[[], tuple[Dataset, Dataset]]] = {
    "photo_patches": photo_patches,
    "digits": digits,
}
"""Training and test images by name. Packages bring them: nothing is downloaded."""


def measure(
    encoder: Encoder, run: Run, train: Dataset, test: Dataset, seeds: Sequence[int]
) -> dict[str, Curve]:
    """Accuracy over the number of labels: with an encoder and without it.

    Args:
        encoder: That of the run.
        run: Says which network it is.
        train: Training images, of whose labels only a share is used.
        test: Test images.
        seeds: Of the choice of labels, of the random weights and of the classifiers.
    """
    curves: dict[str, Curve] = {}
    for seed in seeds:
        probes = Probes(probe=["linear"], labels=list(SHARES), seed=seed)
        frozen = {
            OURS: encoder,
            "random weights": Encoder.of(network(run, encoder, seed), encoder.preprocessing),
            "raw pixels": raw_pixels,
        }
        for name, features in frozen.items():
            for result in evaluate(features, train, test, probes).results:
                curves.setdefault(name, {}).setdefault(result.labels, []).append(result.top1)
        for share in SHARES:
            rows = part_of_each_class(train.labels, share, seed)
            some = Dataset(train.images[rows], train.labels[rows], train.class_names)
            best = max(
                scratch(network(run, encoder, seed), encoder.preprocessing, some, test, rate, seed)
                for rate in RATES
            )
            curves.setdefault(SCRATCH, {}).setdefault(len(rows), []).append(best)
            print(f"seed {seed}, {len(rows):,} labels: {SCRATCH} {best:.1%}", flush=True)
    return curves


def network(run: Run, encoder: Encoder, seed: int) -> keras.Model:
    """The run's backbone with random weights."""
    keras.utils.set_random_seed(seed)
    return backbones.build(run.model, encoder.image_size)


def scratch(
    backbone: keras.Model,
    preprocessing: Preprocessing,
    train: Dataset,
    test: Dataset,
    rate: float,
    seed: int,
) -> float:
    """Accuracy of a network that is trained with labels: SGD, cosine decay and random shifts."""
    keras.utils.set_random_seed(seed)
    x, x_test = (np.asarray(preprocessing(part.images)) for part in (train, test))
    batch = min(BATCH, len(x))
    epochs = max(EPOCHS, STEPS * batch // len(x))
    steps = epochs * -(-len(x) // batch)
    shift = keras.layers.RandomTranslation(0.125, 0.125, fill_mode="reflect", seed=seed)
    model = keras.Sequential([shift, backbone, keras.layers.Dense(len(train.class_names))])
    decay = keras.optimizers.schedules.CosineDecay(rate, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(decay, momentum=0.9), loss)
    model.fit(x, train.labels, batch_size=batch, epochs=epochs, verbose=0)
    predicted = model.predict(x_test, batch_size=256, verbose=0).argmax(axis=1)
    return float(np.mean(predicted == test.labels))


def worth(accuracy: float, without: Mapping[int, float]) -> float | None:
    """The number of labels with which a curve reaches an accuracy.

    Args:
        accuracy: In [0, 1].
        without: Accuracies by number of labels. Between them, the accuracy is taken to rise
            linearly with the logarithm of the number.

    Returns:
        At least the smallest number of labels; None if the curve ends below the accuracy.
    """
    labels = sorted(without)
    reached = np.maximum.accumulate([without[count] for count in labels])
    if accuracy > reached[-1]:
        return None
    if accuracy <= reached[0]:
        return float(labels[0])
    return float(np.exp(np.interp(accuracy, reached, np.log(labels))))


def worths(curves: Mapping[str, Curve]) -> dict[int, float | None]:
    """What each number of labels is worth with the encoder: see `worth`.

    It is compared with the best of the others at each number of labels, by mean over seeds. All
    labels are left out, which none can exceed.
    """
    others = [curve for name, curve in curves.items() if name != OURS]
    without = {
        count: max(float(np.mean(curve[count])) for curve in others) for count in curves[OURS]
    }
    return {
        count: worth(float(np.mean(curves[OURS][count])), without) for count in sorted(without)[:-1]
    }


def in_words(curves: Mapping[str, Curve]) -> list[str]:
    """`worths` in words."""
    counts = sorted(curves[OURS])

    def without(same: float | None) -> str:
        if same is None:
            return f"more than {counts[-1]:,}"
        return f"{same:,.0f}" if same > counts[0] else f"at most {counts[0]:,}"

    return [
        f"{count:,} labels with {OURS} are worth {without(same)} without"
        for count, same in worths(curves).items()
    ]


def table(curves: Mapping[str, Curve]) -> list[list[str]]:
    """Accuracy of each over the number of labels, means and ranges over seeds."""
    counts = sorted(curves[OURS])
    rows = [["top-1 with", *(f"{count:,} labels" for count in counts)]]
    for name, curve in curves.items():
        rows.append([name, *(mean_and_range("top1", curve[count]) for count in counts)])
    return rows


def publish(
    name: str,
    run: Run,
    dataset: str,
    seeds: Sequence[int],
    curves: Mapping[str, Curve],
    minutes: float,
) -> None:
    """Prints the table, and writes ``results/transfer/NAME.csv``, ``.yaml`` and the figure.

    Args:
        name: Of the files.
        run: The run whose encoder it is.
        dataset: What the labels are of.
        seeds: In the order of the accuracies.
        curves: From `measure`.
        minutes: How long it took.
    """
    path = common.HERE / "results" / "transfer" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        [encoder, count, seed, top1]
        for encoder, curve in curves.items()
        for count, found in sorted(curve.items())
        for seed, top1 in zip(seeds, found, strict=True)
    ]
    write_csv(path, ["encoder", "labels", "seed", "top1"], rows)
    title = f"An encoder of {run.data.dataset}, {run.training.epochs} epochs, on {dataset}"
    about = {
        "title": title,
        "seeds": list(seeds),
        "versions": environment.versions(),
        "processor": environment.processor(),
        "minutes": round(minutes, 1),
    }
    documents.write_yaml(path.with_suffix(".yaml"), about)
    figure = common.HERE / "figures" / f"transfer_{name}.png"
    plots.compared_over("labels", "top1", curves, figure, title)
    print("\n".join(["", markdown(table(curves)), "", *in_words(curves), f"written to {path}"]))


def read(path: pathlib.Path) -> dict[str, Curve]:
    """The curves of a file that `publish` has written.

    Raises:
        InputError: If it is not such a file.
    """
    curves: dict[str, Curve] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                curve = curves.setdefault(row["encoder"], {})
                curve.setdefault(int(row["labels"]), []).append(float(row["top1"]))
    except (KeyError, TypeError, ValueError, csv.Error) as e:
        raise InputError(f"'{path}' is not a table of results: {type(e).__name__}: {e}") from e
    return curves


if __name__ == "__main__":
    options.run_command(main)
