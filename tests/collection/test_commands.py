"""Labels, neighbors and selections of a collection, against scikit-learn and by definition."""

import csv

import numpy as np
import pytest
from helpers.commands import command
from PIL import Image
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

import keras_simsiam as ks
from keras_simsiam.collection.labeling import predict_labels
from keras_simsiam.collection.selection import farthest_first, outliers

RANDOM = np.random.RandomState(0)


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("dimension", [4, 60])
def test_leave_one_out_is_that_of_fitting_without_each(dimension):
    truth = RANDOM.randint(0, 3, 40)
    features = RANDOM.normal(size=(50, dimension)).astype("f")
    features[:40, 0] += truth
    found = predict_labels(features, {i: "abc"[c] for i, c in enumerate(truth)})
    assert found.classes == ("a", "b", "c")
    inputs = features.astype("d")
    inputs = np.c_[(inputs - inputs.mean(0)) / inputs.std(0), np.ones(50)]
    scale = (np.linalg.svd(inputs[:40])[1] ** 2).mean()
    best = None
    for penalty in np.logspace(-4, 2, 13) * scale:
        model, scores = Ridge(penalty, fit_intercept=False), []
        for i in range(40):
            kept = np.arange(40) != i
            scores.append(
                model.fit(inputs[:40][kept], np.eye(3)[truth[kept]]).predict(inputs[[i]])[0]
            )
        error = ((np.array(scores) - np.eye(3)[truth]) ** 2).mean()
        if best is None or error < best[0]:
            accuracy = (np.argmax(scores, axis=1) == truth).mean()
            best = error, accuracy, model.fit(inputs[:40], np.eye(3)[truth]).predict(inputs)
    assert found.accuracy == pytest.approx(best[1])
    np.testing.assert_array_equal(found.predicted, best[2].argmax(axis=1))
    assert ((found.confidence > 1 / 3 - 1e-9) & (found.confidence <= 1)).all()


def test_each_chosen_image_is_the_farthest_from_those_before_it():
    features = RANDOM.normal(size=(40, 3))
    distances = pairwise_distances(features / np.linalg.norm(features, axis=1, keepdims=True))
    rows, radii = farthest_first(features, 6)
    for i in range(1, 6):
        near = distances[:, rows[:i]].min(axis=1)
        assert near[rows[i]] == pytest.approx(near.max(), abs=1e-6)
        assert radii[i - 1] == pytest.approx(near.max(), abs=1e-3)
    assert len(farthest_first(np.ones((5, 3)), 4)[0]) == 1


def test_outliers_are_farthest_from_their_neighbors():
    features = RANDOM.normal(size=(40, 3))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    distances = NearestNeighbors(n_neighbors=6).fit(unit).kneighbors(unit)[0][:, 5]
    rows, found = outliers(features, 7, neighbors=5)
    np.testing.assert_array_equal(rows, np.argsort(-distances)[:7])
    np.testing.assert_allclose(found, np.sort(distances)[::-1][:7], atol=1e-3)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twenty bright and twenty dark images; their features are the pixels."""
    root = tmp_path_factory.mktemp("photos")
    for i in range(40):
        bright = i % 2
        noise = RANDOM.randint(0, 60, (8, 8, 3)) + 180 * bright
        Image.fromarray(noise.astype(np.uint8)).save(root / f"{('=', '')[bright]}{i:02}.png")
    ks.embed("pixels", root).save(root / "features.npz")
    return root


def test_all_images_get_the_classes_of_a_few(photos, tmp_path, capsys):
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "name,label\n'=00.png,'=dark\n'=02.png,'=dark\n01.png,bright\n03.png,bright\n"
    )
    output = tmp_path / "predictions.csv"
    assert command("label", photos / "features.npz", "--labels", labels, "-o", output) == 0
    printed = capsys.readouterr().out
    assert "each of the 4 labeled images if it is left out: 100.0%; random weights" in printed
    assert "raw pixels 100.0%" in printed
    rows = rows_of(output)
    assert len(rows) == 40
    for row in rows:
        assert row["label"] == ("'=dark" if row["name"].startswith("'=") else "bright")
        assert 0.5 < float(row["confidence"]) <= 1


def test_neighbors_are_the_most_similar_images(photos, tmp_path, capsys):
    query, sheet = photos / "01.png", tmp_path / "sheet.png"
    argv = (photos / "features.npz", "--image", query, "--k", "3", "-o", sheet)
    assert command("neighbors", *argv) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert lines[1] == "| 1.0000 | 01.png |"
    assert len(lines) == 4
    assert Image.open(sheet).size[0] > 300
    features = ks.Features.read(photos / "features.npz")
    values = features.values / np.linalg.norm(features.values, axis=1, keepdims=True)
    order = np.argsort(-values @ values[features.row()["01.png"]])[:3]
    assert [line.split(" | ")[1].rstrip(" |") for line in lines[1:]] == [
        features.names[i] for i in order
    ]


def test_a_selection_is_written_with_the_outliers(photos, tmp_path):
    assert command("select", photos / "features.npz", "--count", "5", "-o", tmp_path / "x.csv") == 0
    assert len(rows_of(tmp_path / "x.csv")) == 5
    assert len(rows_of(tmp_path / "x-outliers.csv")) == 5
    for name in ("x.png", "x-outliers.png"):
        assert Image.open(tmp_path / name).size[0] > 300


def test_bad_input_is_one_line_and_nothing_is_written(photos, tmp_path, capsys):
    (tmp_path / "text.png").write_text("no image")
    for name, text in (
        ("missing", "no.png,a\n01.png,b\n"),
        ("one", "01.png,a\n03.png,a\n"),
        ("twice", "01.png,a\n01.png,b\n"),
        ("wide", "01.png,a,b\n"),
        ("empty", ""),
    ):
        (tmp_path / f"{name}.csv").write_text(text)
    features, x = photos / "features.npz", ("-o", tmp_path / "x.csv")
    label = ("label", features, *x, "--labels")
    near = ("neighbors", features, "-o", tmp_path / "x.png", "--image")
    before = sorted(tmp_path.rglob("*"))
    for said, *argv in (
        ("1 of 2 are not, such as 'no.png'", *label, tmp_path / "missing.csv"),
        ("labels must have at least two classes; got 'a'", *label, tmp_path / "one.csv"),
        ("must label each image once; got '01.png' twice", *label, tmp_path / "twice.csv"),
        ("must have a name and a label in each row", *label, tmp_path / "wide.csv"),
        ("labels must have at least two classes; got nothing", *label, tmp_path / "empty.csv"),
        ("labels must have at least two classes; got nothing", "label", features, *x),
        ("cannot read 'no.csv'", *label, "no.csv"),
        ("files must be images; got 'no.png'", *near, "no.png"),
        ("none of the images can be read", *near, tmp_path / "text.png"),
        ("'random', which has 128 dimensions", *near, photos / "01.png", "--saved-model", "random"),
        ("k must be at least 1; got 0", *near, photos / "01.png", "--k", "0"),
        ("count must be at least 1; got 0", "select", features, *x, "--count", "0"),
    ):
        assert command(*argv) == 2, said
        error = capsys.readouterr().err.strip()
        assert said in error
        assert "\n" not in error
        assert sorted(tmp_path.rglob("*")) == before
