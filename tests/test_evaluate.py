"""The evaluation command against the accuracy worked out in Python."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import write_image
from helpers.backbones import tiny
from sklearn.metrics import confusion_matrix

from keras_simsiam import data, evaluate, export_encoder, knn_accuracy, load, options
from keras_simsiam.evaluation import Encoder, augmented_features, extract, linear_predict
from keras_simsiam.evaluation.linear import part_of_each_class
from keras_simsiam.evaluation.probing import PROBES
from keras_simsiam.fields import choices
from keras_simsiam.probes import Probes


@pytest.fixture(scope="module")
def backbone():
    keras.utils.set_random_seed(0)
    return tiny(2)


@pytest.fixture(scope="module")
def exported(backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "encoder"
    export_encoder(backbone, path, 32)
    return path


def command(*argv):
    with pytest.raises(SystemExit) as caught:
        options.run_command(lambda _: evaluate.main(argv))
    return caught.value.code


@pytest.fixture
def few(monkeypatch):
    """Every tenth photo only; loads them, as the command does."""

    def read(name, split, *_):
        images, labels, names = load(name, split)
        return data.Dataset(images[::10], labels[::10], names)

    monkeypatch.setattr(data, "load", read)
    return read


def confusion_of(folder):
    """The matrix in confusion.csv."""
    table = np.loadtxt(folder / "confusion.csv", str, delimiter=",")
    assert table[0, 0] == "true class"
    np.testing.assert_array_equal(table[0, 1:], table[1:, 0])
    return table[1:, 1:].astype(int)


@pytest.mark.parametrize("k", [200, 5])
def test_accuracy_is_that_of_the_features(k, backbone, exported, few, capsys):
    argv = ("--saved-model", str(exported), "--dataset", "photo_patches", "--knn-k", str(k))
    assert command(*argv) == 0
    printed = capsys.readouterr().out
    train, test = few("photo_patches", "train"), few("photo_patches", "test")
    bank, queries = (extract(Encoder.of(backbone, 32), d.images) for d in (train, test))
    expected = knn_accuracy(bank, train.labels, queries, test.labels, k)
    assert f"| knn | 540 (1) | {expected.top1:.2%} | {expected.top5:.2%} | - |" in printed
    assert "540 training images, 108 test images" in printed


def test_probes_are_written_with_what_they_mistake(exported, few, tmp_path, capsys):
    out = tmp_path / "out"
    argv = ["--saved-model", str(exported), "--probe", "knn", "linear", "--labels", "0.1", "1"]
    assert command(*argv, "--linear-epochs", "2", "--output", str(out)) == 0
    written = json.loads((out / "evaluation.json").read_text())
    rows = [(r["probe"], r["labels"]) for r in written["results"]]
    assert rows == [("knn", 54), ("linear", 54), ("knn", 540), ("linear", 540)]
    last = written["results"][-1]
    assert f"| linear | 540 (1) | {last['top1']:.2%}" in capsys.readouterr().out
    # The confusion matrix is that of the linear probe with all labels, row by row the classes.
    confusion = confusion_of(out)
    assert confusion.sum(axis=1).tolist() == [6] * 18
    assert confusion.trace() / 108 == pytest.approx(last["top1"])
    accuracies = [c["accuracy"] for c in written["per_class"]["classes"].values()]
    np.testing.assert_allclose(accuracies, confusion.diagonal() / 6)
    for name in ("confusion", "neighbors", "map"):
        assert tf.io.decode_png((out / f"{name}.png").read_bytes()).shape[0] > 100
    # What TensorBoard's projector reads: as many rows, names and pictures.
    features = np.loadtxt(out / "projector/features.tsv")
    names = (out / "projector/labels.tsv").read_text().splitlines()
    assert (features.shape, len(names)) == ((108, 16), 108)
    sprite = tf.io.decode_png((out / "projector/sprite.png").read_bytes())
    assert sprite.shape == (11 * 64, 11 * 64, 3)
    assert "features.tsv" in (out / "projector/projector_config.pbtxt").read_text()


@pytest.mark.slow
def test_linear_probe_trains_on_random_crops_and_flips(backbone, exported, few, tmp_path, capsys):
    argv = ["--saved-model", str(exported), "--output", str(tmp_path), "--seed", "3"]
    argv += ["--probe", "linear", "--labels", "0.5", "--linear-epochs", "5"]
    assert command(*argv, "--linear-batch-size", "64", "--linear-augment") == 0
    assert "| linear | 270 (0.5) |" in capsys.readouterr().out
    # The same by hand.
    encoder = Encoder.of(backbone, 32)
    train, test = few("photo_patches", "train"), few("photo_patches", "test")
    rows = part_of_each_class(train.labels, 0.5, seed=3)
    bank, queries = extract(encoder, train.images), extract(encoder, test.images)
    crops = augmented_features(encoder, train.images, seed=3)

    def confusion(**augmented):
        arguments = (bank[rows], train.labels[rows], queries)
        predicted, _ = linear_predict(*arguments, epochs=5, batch_size=64, seed=3, **augmented)
        return confusion_matrix(test.labels, predicted[:, 0], labels=range(18)).tolist()

    expected = confusion(augmented=lambda epoch: crops(epoch)[rows])
    assert confusion_of(tmp_path).tolist() == expected
    assert expected != confusion()


def test_every_probe_that_can_be_named_can_be_run():
    assert tuple(PROBES) == choices(Probes, "probe")


def test_k_is_capped_with_a_warning_where_the_bank_is_smaller(exported, tmp_path, capsys):
    for split, label, i in np.ndindex(2, 2, 6):
        write_image(tmp_path / ("train", "val")[split] / "ab"[label] / f"{i}.png", i)
    with pytest.warns(UserWarning, match="k=200 exceeds the size of the kNN bank; using 12"):
        assert command("--saved-model", str(exported), "--dataset", f"folder:{tmp_path}") == 0
    assert "| knn | 12 (1) |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--saved-model", "nowhere"], "'nowhere' does not exist"),
        (["--saved-model", "{exported}", "--dataset", "mnits"], "'mnits'"),
        (["--saved-model", "{exported}", "--knn-k", "0"], "knn_k must be at least 1; got 0"),
        (
            ["--saved-model", "{exported}", "--knn-temperature", "0"],
            "knn_temperature must be above 0; got 0",
        ),
        (
            ["--saved-model", "{exported}", "--probe", "svm"],
            "probe must be one of knn, linear; got 'svm'",
        ),
        (["--saved-model", "{exported}", "--labels", "10"], "labels must be at most 1; got 10"),
        (
            ["--saved-model", "{exported}", "--linear-epochs", "0"],
            "linear_epochs must be at least 1; got 0",
        ),
        (["--saved-model", "{exported}", "--linear-optimizer", "adam"], "'adam'"),
        ([], "--saved-model"),
        (["--saved-model", "{exported}", "--dataset", "folder:{unlabeled}"], "must have labels"),
        (["--saved-model", "{exported}", "--output", "{exported}/saved_model.pb"], "it is a file"),
        (["--saved-model", "{exported}", "--output", "{exported}/saved_model.pb/a"], "is a file"),
    ],
)
def test_bad_input_is_one_line_that_names_it(argv, named, exported, tmp_path, capsys):
    for i in range(2):
        write_image(tmp_path / "train" / f"{i}.png", i)
        write_image(tmp_path / "val" / f"{i}.png", i)
    places = {"exported": exported, "unlabeled": tmp_path}
    assert command(*(a.format(**places) for a in argv)) == 2
    error = capsys.readouterr().err.strip()
    assert named in error
    assert "\n" not in error
