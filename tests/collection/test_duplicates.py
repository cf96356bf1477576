"""Duplicates: copies and variants come first, with the recall that thresholds have."""

import csv
import shutil

import numpy as np
import pytest
import scipy.fft
from helpers import write_image
from helpers.commands import command
from PIL import Image
from sklearn.covariance import LedoitWolf

import keras_simsiam as ks
from keras_simsiam.collection import search
from keras_simsiam.collection.duplicates import VARIANTS, variant
from keras_simsiam.collection.similarity import Likeness, Whitening, perceptual_hash
from keras_simsiam.evaluation.products import unit

RANDOM = np.random.RandomState(0)


def test_the_hash_is_the_one_of_imagehash():
    """Against its definition: a type 2 DCT of the gray image, row by row and column by column."""
    images = RANDOM.randint(0, 256, (3, 32, 32, 3), np.uint8)
    for image, bits in zip(images, perceptual_hash(images), strict=True):
        gray = image @ np.array([299, 587, 114]) / 1000
        low = scipy.fft.dct(scipy.fft.dct(gray, axis=0), axis=1)[:8, :8].ravel()
        np.testing.assert_array_equal(bits > 0, low > np.median(low[1:]))


def test_whitening_is_that_of_scikit_learn():
    for count, dimension in ((200, 5), (10, 30)):
        features = RANDOM.normal(size=(count, dimension)) * np.arange(1, dimension + 1) + 7
        model = LedoitWolf().fit(features)
        products = (features - model.location_) @ model.precision_ @ (features - model.location_).T
        lengths = np.sqrt(np.diag(products))
        found = Whitening.of(features)(features)
        np.testing.assert_allclose(
            found @ found.T, products / lengths / lengths[:, None], atol=1e-4
        )


@pytest.mark.parametrize("large", [10**9, 1])
def test_the_others_are_those_of_a_full_sort(large, monkeypatch):
    if large == 1:
        pytest.importorskip("faiss", reason="needs faiss")
    monkeypatch.setattr(search, "LARGE", large)
    monkeypatch.setattr(search, "_SEARCHED", 1000)
    bank = RANDOM.normal(size=(500, 8)).astype("f")
    similarity, rows = search.others(bank, 7)
    cosines = unit(bank) @ unit(bank).T
    np.fill_diagonal(cosines, -2)
    np.testing.assert_array_equal(rows, np.argsort(-cosines, axis=1)[:, :7])
    np.testing.assert_allclose(similarity, np.take_along_axis(cosines, rows, 1), rtol=1e-4)


def test_no_image_is_its_own_neighbor():
    bank = np.ones((6, 3), "f")  # equal vectors, of which itself need not be the first
    _, rows = search.others(bank, 4)
    assert rows.shape == (6, 4)
    assert not (rows == np.arange(6)[:, None]).any()


def test_the_score_is_local_scaling_less_the_distance_of_hashes():
    features = RANDOM.normal(size=(30, 4)).astype("f")
    hashes = np.sign(RANDOM.normal(size=(30, 64))).astype("f")
    scores, a, b = Likeness(features, hashes).pairs()
    white = Whitening.of(features)(features)
    squares = ((white[:, None] - white) ** 2).sum(axis=2)
    scale = np.sqrt(np.sort(squares, axis=1)[:, 7])  # itself is the first
    expected = np.exp(-squares / scale[:, None] / scale)
    expected -= (hashes[:, None] != hashes).mean(axis=2)
    assert len(scores) == 30 * 29 // 2  # every pair is compared
    np.testing.assert_allclose(scores, expected[a, b], atol=1e-4)
    assert (np.diff(scores) <= 0).all()
    likeness = Likeness(features, hashes)
    np.testing.assert_allclose(
        likeness.with_row(features[:3], hashes[:3], np.arange(3)), 1, atol=0.01
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Forty photographs in two splits, with a copy and three variants among them."""
    root = tmp_path_factory.mktemp("photos")
    for i in range(40):
        write_image(root / f"{('train', 'val')[i % 2]}/x/{i:02}.png", i)
    shutil.copy(root / "train/x/00.png", root / "val/x/=copy.png")
    for i, kind in ((2, "recompressed"), (4, "resized"), (6, "brightened")):
        image = np.asarray(Image.open(root / f"train/x/{i:02}.png"))
        Image.fromarray(variant(image, kind, np.random.default_rng(0))).save(
            root / f"val/x/{kind}.png"
        )
    ks.embed("pixels", root).save(root / "features.npz")
    return root


def test_copies_and_variants_come_first_and_are_flagged_across_splits(photos, tmp_path, capsys):
    output = tmp_path / "duplicates.csv"
    assert command("duplicates", photos / "features.npz", "-o", output, "--recall", "1") == 0
    with open(output, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [rows[0][c] for c in ("a", "b", "exact")] == ["train/x/00.png", "val/x/=copy.png", "yes"]
    names = [{row["a"], row["b"]} for row in rows[1:6]]
    pairs = ((2, "recompressed"), (4, "resized"), (6, "brightened"))
    for i, kind in pairs:
        assert {f"train/x/{i:02}.png", f"val/x/{kind}.png"} in names
    assert {row["across"] for row in rows[:2]} == {"train validation"}
    assert rows[0]["group"] != rows[1]["group"]
    printed = capsys.readouterr().out
    assert "| similarity | pairs | all | recompressed | resized | cropped | brightened |" in printed
    assert "1 of them copies byte by byte" in printed
    for name in ("duplicates-pairs.png", "duplicates-recall.png"):
        assert Image.open(tmp_path / name).size[0] > 300
    assert command("duplicates", photos / "features.npz", "-o", output) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize("kind", VARIANTS)
def test_a_variant_is_what_it_is_called(kind):
    image = np.asarray(Image.effect_noise((40, 20), 64).convert("RGB"))
    made = variant(image, kind, np.random.default_rng(0)).astype(int)
    sizes = {"resized": (10, 20, 3), "cropped": (18, 36, 3)}
    assert made.shape == sizes.get(kind, (20, 40, 3))
    if kind == "brightened":
        np.testing.assert_allclose(made, np.minimum(1.3 * image, 255), atol=1)
    if kind == "recompressed":
        assert 0 < abs(made - image).mean() < 30


def test_bad_input_is_one_line_and_nothing_is_written(photos, tmp_path, capsys):
    other = ks.embed("random", [str(photos / "train/x/02.png"), str(photos / "train/x/04.png")])
    other.save(tmp_path / "other.npz")
    (tmp_path / "empty").mkdir()
    features = photos / "features.npz"
    before = sorted(tmp_path.rglob("*"))
    for said, *argv in (
        ("cannot read 'no.npz'", "no.npz"),
        ("must have the images of the features", features, "--images", photos / "train"),
        ("must contain images", features, "--images", tmp_path / "empty"),
        (
            "the features must be those of 'pixels'",
            tmp_path / "other.npz",
            "--saved-model",
            "pixels",
        ),
        ("recall must be above 0; got 0", features, "--recall", "0"),
    ):
        assert command("duplicates", *argv, "-o", tmp_path / "x.csv") == 2, said
        error = capsys.readouterr().err.strip()
        assert said in error
        assert "\n" not in error
        assert sorted(tmp_path.rglob("*")) == before
