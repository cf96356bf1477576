"""Commands take the images that training takes: here TIFF files of 4 channels and 16 bits."""

import csv
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile
from helpers.backbones import tiny
from helpers.commands import command

import keras_simsiam as ks
from keras_simsiam import environment
from keras_simsiam.collection import embedding, find_source
from keras_simsiam.collection.duplicates import VARIANTS, variant
from keras_simsiam.data.packing import Packing, pack
from keras_simsiam.evaluation import Encoder
from keras_simsiam.fine_tuning import learning
from keras_simsiam.fine_tuning.exported import load_any

RANDOM = np.random.RandomState(0)
NO_ALPHA = {"photometric": "minisblack", "planarconfig": "contig"}
LOW, HIGH = (100.0,) * 4, (5000.0,) * 4


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder ``deep`` of images whose class shows in the fourth channel only, and encoders."""
    root = tmp_path_factory.mktemp("channels")
    for split, count in (("train", 8), ("val", 4)):
        for i, name in enumerate(("dark", "light")):
            folder = root / "deep" / split / name
            folder.mkdir(parents=True)
            for n in range(count):
                pixels = RANDOM.randint(100, 1500, (14, 12, 4))
                pixels[..., 3] += 3000 * i
                tifffile.imwrite(folder / f"{n}.tif", pixels.astype(np.uint16), **NO_ALPHA)
    keras.utils.set_random_seed(0)
    preprocessing = ks.Preprocessing(12, (0.5,) * 4, (0.25,) * 4, LOW, HIGH)
    network = tiny(channels=4)
    network.save(root / "net.keras")
    ks.export_encoder(network, root / "encoder", preprocessing)
    return root


def test_a_classifier_is_learned_from_all_channels_and_predicts_from_files(root, tmp_path, capsys):
    folder = ("--dataset", f"folder:{root}/deep")
    tune = ("--saved-model", root / "net.keras", "--image-size", "12", *folder)
    assert command("fine_tune", *tune, "-o", tmp_path / "found") == 0
    assert "| 16 | 100.0% |" in capsys.readouterr().out
    argv = ("--classifier", tmp_path / "found", *folder, "-o", tmp_path / "predicted.csv")
    assert command("predict", *argv) == 0
    with open(tmp_path / "predicted.csv") as file:
        assert all(row["label"] == row["name"].split("/")[1] for row in csv.DictReader(file))
    exported = ks.load_classifier(tmp_path / "found")
    # The network did not know the range, so it is that of the training images.
    assert exported.preprocessing.high == find_source(root / "deep").images.pixels.high
    images = RANDOM.randint(0, 256, (3, 9, 14, 4), np.uint8)
    model = keras.models.load_model(tmp_path / "found/classifier.keras")
    np.testing.assert_allclose(model(tf.constant(images)), exported(images), atol=1e-6)


@pytest.mark.slow
def test_a_whole_network_is_trained_if_the_images_fit_into_memory(root, monkeypatch):
    monkeypatch.setattr(learning, "_STEPS", 2)
    settings = {"image_size": 12, "network": "trained", "epochs": 1}
    found = ks.fine_tune(root / "net.keras", root / "deep", **settings)
    assert found.results[0].accuracy == 1
    each = 4 * round(12 * 256 / 224) ** 2  # the crops are taken of larger images
    monkeypatch.setattr(environment, "free_memory", lambda: 15 * each)
    with pytest.raises(ks.InputError, match=r"16 labeled images of 14×14 .*: 15 images would fit"):
        ks.fine_tune(root / "net.keras", root / "deep", **settings)


@pytest.mark.parametrize("ending", [".tflite", ".onnx"])
def test_converted_models_take_as_many_channels(root, ending, tmp_path, capsys):
    if ending == ".onnx":
        pytest.importorskip("tf2onnx", reason="needs the extra 'onnx'")
    output = tmp_path / f"encoder{ending}"
    argv = ("--saved-model", root / "encoder", "-o", output)
    assert command("convert", *argv, "--dataset", f"folder:{root}/deep") == 0
    assert "features of 24 images" in capsys.readouterr().out
    output.unlink()
    assert command("convert", *argv) == 2
    assert "--dataset photo_patches: images must have 4 channels" in capsys.readouterr().err
    model, _ = load_any(root / "encoder")
    assert model.preprocessing.channels == 4


@pytest.mark.slow
def test_what_one_does_with_features_works(root, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = f"folder:{root}/deep"
    for name in (root / "encoder", "pixels"):
        argv = ("--saved-model", name, "--dataset", folder, "-o", "x.npz", "--overwrite")
        assert command("embed", *argv) == 0
        assert command("duplicates", "x.npz", "-o", "d.csv", "--overwrite") == 0
    assert command("neighbors", "x.npz", "--image", root / "deep/val/dark/1.tif", "--k", "2") == 0
    assert "| 1.0000 | val/dark/1.tif |" in capsys.readouterr().out
    assert command("label", "x.npz", "-o", "l.csv") == 0
    assert "left out: 100.0%; random weights" in capsys.readouterr().out
    assert command("select", "x.npz", "-o", "s.csv", "--count", "4") == 0
    assert command("map", "x.npz", "-o", "m.html", "--method", "pca") == 0


def test_an_encoder_of_other_channels_is_refused_by_name(root):
    for network in (tiny(channels=3), tiny(channels=2)):
        with pytest.raises(ks.InputError, match=r"images must have [23] channels, .* they have 4"):
            ks.embed(Encoder.of(network, 12), root / "deep")


def test_records_are_read_with_the_channels_and_the_range_of_the_encoder(root, tmp_path):
    """Gray images, packed as RGB with the range that was measured then."""
    for i in range(6):
        pixels = RANDOM.randint(100, 4000, (14, 12 + i % 2)).astype(np.uint16)
        (tmp_path / "gray").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / f"gray/{i}.tif", pixels)
    pack(f"folder:{tmp_path}/gray", f"{tmp_path}/packed", Packing())
    for channels in (1, 3):
        ends = [(value,) * channels for value in (0.5, 0.25, 500.0, 2000.0)]
        encoder = Encoder.of(tiny(channels=channels), ks.Preprocessing(12, *ends))
        expected = ks.embed(encoder, tmp_path / "gray")
        found = ks.embed(encoder, f"records:{tmp_path}/packed")
        np.testing.assert_array_equal(found.values, expected.values)
        chosen = find_source(f"records:{tmp_path}/packed").only([found.names[i] for i in (4, 1)])
        seen = chosen.seen_by(encoder.preprocessing)
        np.testing.assert_array_equal(
            embedding.features_of(encoder, None, seen).values, expected.values[[4, 1]]
        )


@pytest.mark.parametrize("kind", VARIANTS)
def test_variants_of_three_channels_among_more_are_those_of_rgb(kind):
    gray = np.repeat(RANDOM.randint(0, 256, (20, 30, 1), np.uint8), 4, axis=2)
    made = variant(gray, kind, np.random.default_rng(0))
    expected = variant(gray[..., :3], kind, np.random.default_rng(0))
    np.testing.assert_allclose(made[..., :3], expected, atol=2)
    assert math.prod(made.shape) == expected.size // 3 * 4
