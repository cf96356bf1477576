"""The SavedModel: what it gives, where, and what it never overwrites."""

import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.backbones import tiny

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
    model = SimSiam(tiny(4), projector(32, 16), predictor(16))
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
    model = SimSiam(tiny(2), projector(16, 8), predictor(8))
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
    np.testing.assert_allclose(encoder(images), images.mean(axis=(1, 2)), rtol=1e-5)


def test_images_of_other_sizes_are_resized_inside(model, exported):
    encode = load_encoder(exported)
    large = np.random.RandomState(1).randint(0, 256, (2, 50, 70, 3), np.uint8)
    np.testing.assert_allclose(encode(large), Encoder.of(model, 32)(large), atol=1e-5)


SHAPES = ((2, 32, 32, 3), (3, 50, 71, 3), (1, 20, 33, 3))


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    path = tmp_path_factory.mktemp("resnet") / "encoder"
    export_encoder(resnet18(width=4), path, 32)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """An exported convolution, which is compiled soon."""
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, 2)(inputs)
    path = tmp_path_factory.mktemp("small") / "encoder"
    export_encoder(keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x)), path, 32)
    return path


def test_compiled_by_xla_it_gives_the_same_features(small):
    encode = load_encoder(small)
    compiled = tf.function(encode, jit_compile=True)
    for shape in SHAPES:
        images = np.random.RandomState(2).randint(0, 256, shape, np.uint8)
        np.testing.assert_allclose(compiled(tf.constant(images)), encode(images), atol=1e-5)


@pytest.mark.parametrize("path", ["small", pytest.param("resnet", marks=pytest.mark.slow)])
def test_converted_to_tensorflow_lite_it_gives_the_same_features(path, request):
    """Of TensorFlow Lite's own operations, and still for images of any size and number."""
    path = request.getfixturevalue(path)
    encode = load_encoder(path)
    converted = tf.lite.TFLiteConverter.from_saved_model(str(path)).convert()
    lite = tf.lite.Interpreter(model_content=converted)
    (taken,), (given,) = lite.get_input_details(), lite.get_output_details()
    for shape in SHAPES:
        images = np.random.RandomState(2).randint(0, 256, shape, np.uint8)
        lite.resize_tensor_input(taken["index"], shape)
        lite.allocate_tensors()
        lite.set_tensor(taken["index"], images)
        lite.invoke()
        np.testing.assert_allclose(lite.get_tensor(given["index"]), encode(images), atol=1e-5)


def test_it_encodes_within_tf_data_and_tf_function(small, images):
    encode = load_encoder(small)
    batches = tf.data.Dataset.from_tensor_slices(images).batch(4).map(encode)
    np.testing.assert_allclose(tf.concat([*batches], 0), encode(images), atol=1e-5)
    np.testing.assert_allclose(tf.function(encode)(images), encode(images), atol=1e-5)
    module = tf.saved_model.load(str(small))
    serve = module.signatures["serving_default"]
    found = tf.data.Dataset.from_tensors(images).map(lambda b: serve(images=b)["features"])
    np.testing.assert_allclose(next(iter(found)), encode(images), atol=1e-5)


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
    expected = load_encoder(exported)(images)
    np.testing.assert_allclose(np.load(exported.parent / "features.npy"), expected, atol=1e-5)


def test_backbone_of_another_kind_is_exported_at_its_own_size(tmp_path):
    backbone = keras.Sequential([keras.Input((24, 24, 3)), keras.layers.GlobalAveragePooling2D()])
    export_encoder(backbone, tmp_path / "encoder")
    encode = load_encoder(tmp_path / "encoder")
    assert encode.image_size == 24
    assert encode(np.zeros((2, 40, 40, 3), np.uint8)).shape == (2, 3)


def test_unknown_size_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"preprocessing is required.*Preprocessing\("):
        export_encoder(tiny(2), tmp_path / "encoder")
    assert not any(tmp_path.iterdir())


def test_a_saved_model_is_replaced_but_nothing_else_is(model, tmp_path, images):
    export_encoder(tiny(2), tmp_path / "encoder", 32)
    export_encoder(model, tmp_path / "encoder")
    assert load_encoder(tmp_path / "encoder")(images).shape == (7, 32)
    assert [p.name for p in tmp_path.iterdir()] == ["encoder"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter1.txt").write_text("years of work")
    with pytest.raises(InputError, match="thesis', which is not a SavedModel"):
        export_encoder(model, tmp_path / "thesis")
    assert (tmp_path / "thesis/chapter1.txt").exists()


def test_interrupted_export_leaves_the_one_before(model, tmp_path, images, monkeypatch):
    export_encoder(model, tmp_path / "encoder")
    before = load_encoder(tmp_path / "encoder")(images)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(export.tf.saved_model, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export_encoder(model, tmp_path / "encoder")
    np.testing.assert_array_equal(load_encoder(tmp_path / "encoder")(images), before)


def test_what_cannot_be_a_saved_model_is_refused_with_what_may_be_meant(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/summary.json").write_text('{"saved_model": "saved_models/mine"}')
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/summary.json").write_text('{"saved_mo')
    (tmp_path / "models/mine").mkdir(parents=True)
    (tmp_path / "models/mine/saved_model.pb").write_bytes(b"broken")
    for name in ("best.keras", "resnet50.pth"):
        (tmp_path / name).write_bytes(b"")
    for name, said in {
        "nowhere": "nowhere' does not exist",
        "a\0b": "does not exist",
        "run": "run' has no saved_model.pb; it is .* whose SavedModel is 'saved_models/mine'",
        "torn": "torn' has no saved_model.pb$",
        "models": "has no saved_model.pb; give one of those in it, such as '.*models/mine'",
        "models/mine": "cannot read saved model '.*mine'",
        "models/mine/saved_model.pb": "must be a folder; .* give its folder '.*mine'",
        "best.keras": "must be a folder; it is a file; .*export_encoder exports any Keras model",
        "resnet50.pth": "must be a folder; it is a file; convert PyTorch weights with .*import",
    }.items():
        with pytest.raises(InputError, match=said) as caught:
            load_encoder(tmp_path / name)
        assert "\n" not in str(caught.value)


def mean_color(images):
    return {"features": tf.reduce_mean(tf.cast(images, tf.float32), [1, 2])}


def save_module(path, of=mean_color, size=16, shape=(None, None, None, 3), dtype=tf.uint8):
    module = tf.Module()
    if size is not None:
        module.image_size = tf.Variable(size, trainable=False)
    spec = tf.TensorSpec(shape, dtype, "images")
    module.serve = tf.function(of, input_signature=[spec])
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": None}, "must be written by export_encoder"),
        ({"size": 0}, "image_size must be at least 1; got 0"),
        ({"size": 10**9}, "image_size must be at most"),
        ({"size": 16.5}, "image_size must be an integer; got 16.5"),
        ({"size": [16, 16]}, "image_size must be an integer; got 16 16"),
        ({"size": "large"}, "image_size must be an integer"),
        ({"shape": (4, 16, 16, 3)}, r"it takes images, uint8 \(4, 16, 16, 3\)"),
        ({"dtype": tf.float32}, r"it takes images, float32 \(\?, \?, \?, 3\)"),
        ({"of": lambda x: mean_color(x) | {"features": x}}, "returns features, uint8"),
        ({"of": lambda x: {"embedding": mean_color(x)["features"]}}, "returns embedding, float32"),
        ({"of": lambda x: {"features": mean_color(x)["features"][0]}}, r"features, float32 \(3,\)"),
        ({"of": lambda x: {"features": mean_color(x)["features"][:, :0]}}, r"float32 \(\?, 0\)"),
    ],
)
def test_saved_models_of_others_are_refused_for_what_they_declare(arguments, said, tmp_path):
    save_module(tmp_path / "theirs", **arguments)
    with pytest.raises(InputError, match=said) as caught:
        load_encoder(tmp_path / "theirs")
    assert "theirs'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (
            lambda x: {"features": mean_color(x)["features"][::2]},
            r"one vector per image; for images \[7, 32, 32, 3\] it returned \[4, 3\]",
        ),
        (
            lambda x: {
                "features": tf.debugging.check_numerics(mean_color(x)["features"] / 0, "no")
            },
            "theirs' fails: no : Tensor had",
        ),
    ],
)
def test_saved_models_of_others_that_do_not_do_what_they_declare_are_named(
    of, said, tmp_path, images
):
    save_module(tmp_path / "theirs", of)
    encoder = load_encoder(tmp_path / "theirs")
    with pytest.raises(InputError, match=said) as caught:
        encoder(images)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "part", ["saved_model.pb", "fingerprint.pb", "variables/variables.index", "variables"]
)
def test_a_saved_model_with_a_damaged_part_is_refused(part, tmp_path, capsys):
    path = tmp_path / "encoder"
    save_module(path)
    if (path / part).is_dir():
        shutil.rmtree(path / part)
    else:
        (path / part).write_bytes((path / part).read_bytes()[:-20] + b"\xff" * 20)
    with pytest.raises(InputError, match="cannot read saved model") as caught:
        load_encoder(path)
    assert "\n" not in str(caught.value)
