"""Models in other formats give what the exported ones give, or are not written."""

import sys

import keras
import numpy as np
import pytest
from helpers.backbones import tiny
from helpers.commands import command
from PIL import Image

import keras_simsiam as ks
from keras_simsiam import exchange
from keras_simsiam.fine_tuning import Classifier, write_classifier
from keras_simsiam.fine_tuning.exported import load_any

RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.randint(0, 256, (3, 9, 14, 3), np.uint8)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """An encoder, a classifier and a folder of images."""
    root = tmp_path_factory.mktemp("models")
    keras.utils.set_random_seed(0)
    network = tiny()
    ks.export_encoder(network, root / "encoder", 12)
    (root / "classifier").mkdir()
    write_classifier(Classifier(network, ks.Preprocessing(12), ("a", "b")), root / "classifier")
    (root / "photos").mkdir()
    for i in range(3):
        Image.fromarray(RANDOM.randint(0, 256, (20, 16, 3), np.uint8)).save(
            root / f"photos/{i}.png"
        )
    return root


def converted(models, name, ending, tmp_path, capsys):
    """The file that the command writes, after it has said how much it differs."""
    path = tmp_path / f"{name}{ending}"
    argv = ("--saved-model", models / name, "--dataset", f"folder:{models}/photos", "-o", path)
    assert command("convert", *argv) == 0
    assert "in two sizes, differ by at most" in capsys.readouterr().out
    return path


def test_tensorflow_lite_gives_the_features_of_images_of_any_size(models, tmp_path, capsys):
    converted(models, "encoder", ".tflite", tmp_path, capsys)
    encoder = ks.load_encoder(models / "encoder")
    found = exchange.to_tflite(encoder, "features").run(IMAGES)
    np.testing.assert_allclose(found, encoder(IMAGES), atol=1e-5)


@pytest.mark.parametrize("name", ["encoder", "classifier"])
def test_onnx_gives_the_same_for_images_of_any_size(models, name, tmp_path, capsys):
    pytest.importorskip("tf2onnx", reason="needs the extra 'onnx'")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
    path = converted(models, name, ".onnx", tmp_path, capsys)
    model, gives = load_any(models / name)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run([gives], {"images": IMAGES})
    np.testing.assert_allclose(found, model(IMAGES), atol=1e-5)


def test_what_cannot_be_converted_is_one_line_and_nothing_is_written(
    models, tmp_path, capsys, monkeypatch
):
    def differs(model, output):
        return exchange.Runnable(b"", lambda images: np.asarray(model(images)) + 1)

    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    monkeypatch.setitem(exchange.FORMATS, ".tflite", differs)
    (tmp_path / "old.tflite").write_text("old")
    before = sorted(tmp_path.rglob("*"))
    given = {"--saved-model": models / "encoder", "--dataset": f"folder:{models}/photos"}
    for said, changes in (
        ("must end in .onnx or .tflite", {"-o": tmp_path / "m.pb"}),
        ("pip install '.[onnx]'", {"-o": tmp_path / "m.onnx"}),
        ("must give the same features", {"-o": tmp_path / "m.tflite"}),
        ("exists", {"-o": tmp_path / "old.tflite"}),
        ("does not exist", {"-o": tmp_path / "m.tflite", "--saved-model": tmp_path / "none"}),
        ("dataset must be one of", {"-o": tmp_path / "m.tflite", "--dataset": "nowhere"}),
    ):
        argv = [text for pair in {**given, **changes}.items() for text in pair]
        assert command("convert", *argv) == 2, said
        error = capsys.readouterr().err.strip()
        assert said in error
        assert "\n" not in error
        assert sorted(tmp_path.rglob("*")) == before
