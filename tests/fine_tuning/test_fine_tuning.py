"""Classifiers learned from labels: as commands, in Python, and as files for others."""

import csv
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.backbones import tiny
from helpers.commands import command
from PIL import Image

import keras_simsiam as ks
from keras_simsiam.collection.encoders import find_model
from keras_simsiam.fine_tuning import learning, report
from keras_simsiam.fine_tuning.labeled import folds

RANDOM = np.random.RandomState(0)
CLASSES = ("=dark", "bright")


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Bright and dark images in ``train`` and ``val``, with one file that is no image."""
    root = tmp_path_factory.mktemp("photos")
    for split, count in (("train", 12), ("val", 6)):
        for i, name in enumerate(CLASSES):
            (root / split / name).mkdir(parents=True)
            for n in range(count):
                pixels = RANDOM.randint(0, 40, (10, 10, 3)) + 150 * i
                Image.fromarray(pixels.astype(np.uint8)).save(root / split / name / f"={n:02}.png")
    (root / "train/bright/broken.png").write_text("no image")
    return root


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A ``.keras`` file of a network with random weights."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("backbone") / "net.keras"
    tiny().save(path)
    return path


@pytest.fixture(scope="module")
def classifier(photos, backbone, tmp_path_factory):
    """What the command writes of them."""
    folder = tmp_path_factory.mktemp("classifier") / "found"
    argv = ("--saved-model", backbone, "--image-size", "12", "--dataset", f"folder:{photos}")
    assert command("fine_tune", *argv, "--labels", "0.2", "1", "-o", folder) == 0
    return folder


def test_a_linear_classifier_is_measured_beside_simpler_ways(classifier, photos, capsys):
    written = json.loads((classifier / "fine_tuning.json").read_text())
    assert [r["labels"] for r in written["results"]] == [4, 24]
    assert written["results"][1]["accuracy"] == 1
    assert all(0 <= r[way] <= 1 for r in written["results"] for way in r if way != "labels")
    assert written["tested_images"] == 12
    table = rows_of(classifier / "confusion.csv")
    assert [[row["true class"], row["'=dark"], row["bright"]] for row in table] == [
        ["'=dark", "6", "0"],
        ["bright", "0", "6"],
    ]
    assert (classifier / "confusion.png").exists()
    assert not (classifier / "mistakes.png").exists()


def test_the_saved_model_and_the_keras_file_say_the_same(classifier):
    images = RANDOM.randint(0, 256, (5, 10, 14, 3), np.uint8)
    model = keras.models.load_model(classifier / "classifier.keras")
    assert isinstance(model, ks.Classifier)
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-5)
    loaded = tf.saved_model.load(str(classifier))  # as without this package
    found = loaded.signatures["serving_default"](images=tf.constant(images))
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    names = [CLASSES[i] for i in expected.argmax(axis=1)]
    assert [name.decode() for name in found["class_name"].numpy()] == names
    np.testing.assert_allclose(found["confidence"], expected.max(axis=1), atol=1e-5)
    ours = ks.load_classifier(classifier)
    assert ours.class_names == model.class_names == CLASSES
    np.testing.assert_allclose(ours(images), expected, atol=1e-5)


def test_predictions_of_a_folder_have_each_name_and_are_data(classifier, photos, tmp_path, capsys):
    argv = ("--classifier", classifier, "--dataset", f"folder:{photos}", "--top", "2")
    assert command("predict", *argv, "-o", tmp_path / "p.csv") == 0
    said = capsys.readouterr().out
    assert "100.0% of the 36 images that have a label are right" in said
    assert "unreadable" in said
    assert "broken.png" in said
    rows = rows_of(tmp_path / "p.csv")
    assert len(rows) == 36
    for row in rows:
        assert {row["label"].removeprefix("'"), row["label_2"].removeprefix("'")} == {*CLASSES}
        assert row["name"].split("/")[1] == row["label"].removeprefix("'")
        assert float(row["confidence"]) + float(row["confidence_2"]) == pytest.approx(1, abs=1e-3)
    argv = ("--classifier", classifier, "--files", photos / "val/bright/=00.png")
    assert command("predict", *argv, "-o", tmp_path / "one.csv") == 0
    assert [row["label"] for row in rows_of(tmp_path / "one.csv")] == ["bright"]


def test_a_few_labels_are_tested_by_classifiers_that_have_not_seen_them(photos, backbone):
    names = [f"train/{c}/={n:02}.png" for c in CLASSES for n in range(6)]
    labels = {name: name.split("/")[1] for name in names}
    labels[names[0]] = "bright"  # wrong, as those that have not seen it say
    found = ks.fine_tune(backbone, photos, labels, image_size=12)
    assert found.folds == 5
    assert sorted(found.tested.source.names) == sorted(names)
    (mistake,) = found.tested.mistakes()
    assert found.tested.source.names[mistake] == names[0]
    assert found.results[0].accuracy == pytest.approx(11 / 12)


def test_folds_are_disjoint_and_what_a_fold_asks_is_in_the_others():
    truth = np.array([0] * 7 + [1] * 2 + [2] + [3] * 5)
    parts = folds(truth, seed=0)
    asked = np.concatenate(parts)
    assert sorted(asked) == [i for i in range(len(truth)) if truth[i] != 2]
    for part in parts:
        assert {*truth[part]} <= {*np.delete(truth, part)}


def test_a_trained_network_repeats_and_differs_from_a_frozen_one(photos, backbone, monkeypatch):
    monkeypatch.setattr(learning, "_STEPS", 2)
    labels = {f"val/{c}/={n:02}.png": c for c in CLASSES for n in range(4)}
    labels["val/bright/=00.png"] = "=dark"  # wrong, so that there is something left to learn
    settings = {"image_size": 12, "network": "trained", "epochs": 1, "batch_size": 4}
    found = [ks.fine_tune(backbone, photos, labels, **settings).classifier for _ in range(2)]
    frozen = ks.fine_tune(backbone, photos, labels, image_size=12).classifier
    for first, again in zip(*(c.get_weights() for c in found), strict=True):
        np.testing.assert_array_equal(first, again)
    for first, other in zip(found[0].get_weights(), frozen.get_weights(), strict=True):
        assert not np.array_equal(first, other)


def test_a_saved_model_is_trained_from_the_run_of_its_name(backbone, tmp_path):
    model = keras.models.load_model(backbone)
    ks.export_encoder(model, tmp_path / "saved_models/mine", 12)
    with pytest.raises(ks.InputError, match=r"there is no run '.*runs/mine'; give the folder"):
        find_model(tmp_path / "saved_models/mine")
    run = tmp_path / "runs/mine"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text("")
    ours = ks.SimSiam(model, ks.projector(8, 8), ks.predictor(8))
    ours.preprocessing = ks.Preprocessing(12)
    ours.save(run / "checkpoints/step-1.keras")
    for name in (run, tmp_path / "saved_models/mine"):
        found, preprocessing = find_model(name)
        assert isinstance(found, ks.SimSiam)
        assert preprocessing.image_size == 12


def test_an_interrupted_command_leaves_nothing(photos, backbone, tmp_path, monkeypatch, capsys):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "write_confusion", interrupted)
    argv = ("--saved-model", backbone, "--image-size", "12", "--dataset", f"folder:{photos}")
    assert command("fine_tune", *argv, "-o", tmp_path / "found") == 130
    assert "nothing is written" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_bad_input_is_one_line_and_nothing_is_written(
    photos, backbone, classifier, tmp_path, capsys
):
    (tmp_path / "one.csv").write_text("train/bright/=00.png,a\n")
    (tmp_path / "gone.csv").write_text("x.png,a\ny.png,b\n")
    (tmp_path / "empty").mkdir()
    ks.export_encoder(keras.models.load_model(backbone), tmp_path / "encoder", 12)
    tiny(channels=4).save(tmp_path / "4.keras")
    before = sorted(tmp_path.rglob("*"))
    tune = {"--saved-model": backbone, "--image-size": 12, "--dataset": f"folder:{photos}"}
    ask = {"--classifier": classifier, "--dataset": f"folder:{photos}"}
    for name, options, said, changes in (
        ("fine_tune", tune, "labels must be shares above 0", {"--labels": 2}),
        ("fine_tune", tune, "labels must have at least two", {"--labels": tmp_path / "one.csv"}),
        ("fine_tune", tune, "2 of 2 are not there", {"--labels": tmp_path / "gone.csv"}),
        ("fine_tune", tune, "cannot read", {"--labels": tmp_path / "none.csv"}),
        ("fine_tune", tune, "must have labels", {"--dataset": f"folder:{photos}/val"}),
        ("fine_tune", tune, "must contain images", {"--dataset": f"folder:{tmp_path}/empty"}),
        ("fine_tune", tune, "model must be", {"--saved-model": "pixels"}),
        (
            "fine_tune",
            tune,
            "3 channels where 4 are expected",
            {"--saved-model": tmp_path / "4.keras"},
        ),
        ("fine_tune", tune, "exists", {"-o": tmp_path / "encoder"}),
        ("predict", ask, "must be a classifier", {"--classifier": tmp_path / "encoder"}),
        ("predict", ask, "does not exist", {"--classifier": tmp_path / "none"}),
        ("predict", ask, "top must be at most 2", {"--top": 3}),
        ("predict", ask, "exists", {"-o": tmp_path / "one.csv"}),
        ("predict", ask, "files must be images", {"--dataset": None, "--files": "no.png"}),
        ("predict", ask, "none of the images", {"--dataset": None, "--files": "one.csv"}),
    ):
        chosen = {"-o": tmp_path / "new", **options, **changes}
        argv = [text for key, value in chosen.items() if value is not None for text in (key, value)]
        argv = [tmp_path / "one.csv" if a == "one.csv" else a for a in argv]
        assert command(name, *argv) == 2, (said, capsys.readouterr())
        error = capsys.readouterr().err.strip()
        assert said in error, error
        assert "\n" not in error
        assert sorted(tmp_path.rglob("*")) == before
