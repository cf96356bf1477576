"""The SavedModel: what it gives, where, and what it never overwrites."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam import (
    InputError,
    Preprocessing,
    SimSiam,
    export,
    export_encoder,
    load_encoder,
    predictor,
    projector,
    resnet18,
)
from keras_simsiam.evaluation import Encoder


@pytest.fixture(scope="module")
def model():
    """A model whose BatchNorm statistics are not those it started with."""
    model = SimSiam(resnet18(width=4), projector(32, 16), predictor(16))
    model.compile("sgd")
    x = tf.random.stateless_normal([8, 32, 32, 3], [0, 0])
    model.train_step((x, x[::-1]))
    return model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "encoder"
    export_encoder(model, path)
    return path


@pytest.fixture(scope="module")
def images():
    return np.random.RandomState(0).randint(0, 256, (7, 32, 32, 3), np.uint8)


def test_features_equal_those_of_keras(model, exported, images):
    encoder = load_encoder(exported)
    expected = model(
        (images / 255.0 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    )
    assert np.std(expected, axis=0).max() > 0.01  # so that they tell the images apart
    for batch in (images, images[:1]):
        found = encoder(batch)
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, expected[: len(batch)], atol=1e-5)
        np.testing.assert_array_equal(load_encoder(exported)[0](batch), found)


def test_preprocessing_is_exported_with_the_weights(model, exported, images, tmp_path):
    assert load_encoder(exported).preprocessing == Preprocessing(32)
    preprocessing = Preprocessing(24, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    export_encoder(model, tmp_path / "encoder", preprocessing)
    encoder = load_encoder(tmp_path / "encoder")
    assert encoder.preprocessing == preprocessing
    np.testing.assert_allclose(encoder(images), model(preprocessing(images)), atol=1e-5)


def test_a_model_is_exported_with_its_own_preprocessing(tmp_path, images):
    model = SimSiam(resnet18(width=2), projector(16, 8), predictor(8))
    model.preprocessing = Preprocessing(24, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    export_encoder(model, tmp_path / "encoder")
    assert load_encoder(tmp_path / "encoder").preprocessing == model.preprocessing
    export_encoder(model, tmp_path / "encoder", 16)
    expected = model.preprocessing.replace(image_size=16)
    assert load_encoder(tmp_path / "encoder").preprocessing == expected


def test_saved_models_of_earlier_versions_load(tmp_path, images):
    """They record the image size alone."""
    module = tf.Module()
    module.image_size = tf.Variable(24, trainable=False)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "images")])
    def serve(images):
        return {"features": tf.reduce_mean(tf.cast(images, tf.float32), [1, 2])}

    module.serve = serve
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": serve})
    encoder = load_encoder(tmp_path)
    assert encoder.preprocessing == Preprocessing(24)
    np.testing.assert_allclose(encoder[0](images), images.mean(axis=(1, 2)), rtol=1e-5)


def test_images_of_other_sizes_are_resized_inside(model, exported):
    encode = load_encoder(exported)
    large = np.random.RandomState(1).randint(0, 256, (2, 50, 70, 3), np.uint8)
    np.testing.assert_allclose(encode(large), Encoder.of(model, 32)(large), atol=1e-5)


def test_loads_with_tensorflow_alone_in_a_process_without_keras_simsiam(exported, images):
    np.save(exported.parent / "images.npy", images)
    script = f"""
import sys
import numpy as np
import tensorflow as tf
module = tf.saved_model.load({str(exported)!r})
serve = module.signatures["serving_default"]
features = serve(images=tf.constant(np.load({str(exported.parent / "images.npy")!r})))["features"]
assert not any(name.startswith("keras_simsiam") for name in sys.modules)
np.save({str(exported.parent / "features.npy")!r}, features)
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=exported.parent)
    expected = load_encoder(exported)[0](images)
    np.testing.assert_allclose(np.load(exported.parent / "features.npy"), expected, atol=1e-5)


def test_backbone_of_another_kind_is_exported_at_its_own_size(tmp_path):
    backbone = keras.Sequential([keras.Input((24, 24, 3)), keras.layers.GlobalAveragePooling2D()])
    export_encoder(backbone, tmp_path / "encoder")
    encode = load_encoder(tmp_path / "encoder")
    assert encode.image_size == 24
    assert encode(np.zeros((2, 40, 40, 3), np.uint8)).shape == (2, 3)


def test_unknown_size_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"preprocessing is required.*Preprocessing\("):
        export_encoder(resnet18(width=2), tmp_path / "encoder")
    assert not any(tmp_path.iterdir())


def test_a_saved_model_is_replaced_but_nothing_else_is(model, tmp_path, images):
    export_encoder(resnet18(width=2), tmp_path / "encoder", 32)
    export_encoder(model, tmp_path / "encoder")
    assert load_encoder(tmp_path / "encoder")[0](images).shape == (7, 32)
    assert [p.name for p in tmp_path.iterdir()] == ["encoder"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter1.txt").write_text("years of work")
    with pytest.raises(InputError, match="thesis', which is not a SavedModel"):
        export_encoder(model, tmp_path / "thesis")
    assert (tmp_path / "thesis/chapter1.txt").exists()


def test_interrupted_export_leaves_the_one_before(model, tmp_path, images, monkeypatch):
    export_encoder(model, tmp_path / "encoder")
    before = load_encoder(tmp_path / "encoder")[0](images)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(export.tf.saved_model, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export_encoder(model, tmp_path / "encoder")
    np.testing.assert_array_equal(load_encoder(tmp_path / "encoder")[0](images), before)


@pytest.mark.parametrize("case", ["missing", "damaged", "foreign"])
def test_what_is_no_exported_encoder_is_refused_by_name(case, tmp_path):
    path = tmp_path / "encoder"
    if case == "damaged":
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"broken")
    if case == "foreign":
        tf.saved_model.save(tf.Module(), str(path))
    with pytest.raises(InputError, match="encoder'") as caught:
        load_encoder(path)
    assert "\n" not in str(caught.value)
