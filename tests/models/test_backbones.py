"""Backbones of all kinds: what they see, their weights, and which are refused."""

import sys

import keras
import numpy as np
import pytest

import keras_simsiam as ks
from keras_simsiam import InputError, _compat
from keras_simsiam.config import Run
from keras_simsiam.model_settings import Model
from keras_simsiam.models import backbones
from keras_simsiam.models.batch_norm import synchronize
from keras_simsiam.training.inputs import Inputs
from keras_simsiam.training.prepare import build_model
from keras_simsiam.training.start import load_weights, with_own_normalization

APPLICATIONS = [name for name in dir(keras.applications) if name[:1].isupper()]


def pooled(side=None, channels=3, drop=0.0):
    """A network from images to vectors, of Keras's own layers."""
    images = keras.Input((side, side, channels))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, 2)(images))
    return keras.Model(images, keras.layers.Dropout(drop)(keras.layers.GlobalMaxPooling2D()(x)))


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The current folder, with a module ``my_backbones``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_backbones", raising=False)
    (tmp_path / "my_backbones.py").write_text(
        "import keras\n"
        "def make(side=None, channels=3, pool=True):\n"
        "    images = keras.Input((side, side, channels))\n"
        "    x = keras.layers.Conv2D(4, 3, 2)(images)\n"
        "    return keras.Model(images, keras.layers.GlobalMaxPooling2D()(x) if pool else x)\n"
        "def fixed(): return make(16)\n"
        "def gray(): return make(channels=1)\n"
        "def maps(): return make(pool=False)\n"
        "def nothing(): return 3\n"
        "def fails(): raise KeyError('no such file')\n"
        "class Own(keras.Model):\n"
        "    def get_config(self): raise NotImplementedError('no get_config')\n"
        "def unsaved(): return Own()\n"
    )
    pooled().save(tmp_path / "plain.keras")
    pooled(16).save(tmp_path / "small.keras")
    return tmp_path


@pytest.mark.parametrize("name", APPLICATIONS)
def test_normalization_is_what_the_application_does_itself(name):
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype("f")
    preprocess = sys.modules[getattr(keras.applications, name).__module__].preprocess_input
    mean, std = backbones.own_normalization(f"keras:{name}")
    ours = (images / 255 - mean) / std
    theirs = preprocess(images.copy())
    bgr = name in ("ResNet50", "ResNet101", "ResNet152", "VGG16", "VGG19")
    np.testing.assert_allclose(ours[..., ::-1] if bgr else ours, theirs, atol=1e-4)


def test_a_model_for_bgr_takes_rgb_here(tmp_path):
    network = keras.applications.VGG16(include_top=False, weights=None, pooling="avg")
    network.save_weights(tmp_path / "vgg.weights.h5")
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("f")
    expected = network(keras.applications.vgg16.preprocess_input(images.copy()))
    ours = backbones.application("VGG16", 32, str(tmp_path / "vgg.weights.h5"))
    mean, std = backbones.own_normalization("keras:VGG16")
    np.testing.assert_allclose(ours((images / 255 - mean) / std), expected, rtol=1e-3, atol=1e-4)


def test_a_run_takes_the_normalization_of_its_backbone_and_no_other():
    run = Run(model=Model(backbone="keras:MobileNetV2"))
    normalized = with_own_normalization(run)
    assert normalized.augmentation.mean == normalized.augmentation.std == (0.5, 0.5, 0.5)
    assert with_own_normalization(normalized) is normalized
    assert with_own_normalization(Run()) == Run()
    with pytest.raises(InputError, match=r"mean must be that of keras:MobileNetV2, 0.5 0.5 0.5"):
        with_own_normalization(run.replace(augmentation={"mean": (0.1, 0.2, 0.3)}))


def test_a_backbone_of_a_method_brings_its_normalization(mine):
    model = ks.SimSiam(pooled(), ks.projector(4, 4), ks.predictor(4))
    model.preprocessing = ks.Preprocessing(16, (0.25, 0.25, 0.25), (0.125, 0.25, 0.5))
    model.save("method.keras")
    mean, std = backbones.own_normalization("method.keras")
    assert (mean, std) == (model.preprocessing.mean, model.preprocessing.std)


def built(run):
    return build_model(run, Inputs(np.zeros(4), None, ks.Preprocessing(32), 2, 1, ""))


@pytest.mark.parametrize("method", ["simsiam", "byol"])
def test_a_file_gives_a_random_network_first_and_then_its_weights(mine, method):
    run = Run().replace(
        model={"backbone": "plain.keras", "method": method, "projector_dim": 4},
        training={"seed": 1},
    )
    model, saved = built(run), keras.models.load_model("plain.keras")
    kernel = model.backbone.trainable_variables[0]
    assert not np.allclose(kernel, saved.trainable_variables[0])
    np.testing.assert_array_equal(kernel, built(run).backbone.trainable_variables[0])
    assert load_weights(run.replace(model={"backbone_weights": "none"}), model, 32) is None
    np.testing.assert_array_equal(kernel, built(run).backbone.trainable_variables[0])
    assert load_weights(run, model, 32) == "backbone from plain.keras"
    for a, b in zip(model.backbone.variables, saved.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    if method == "byol":  # or the target would be that of random weights
        for a, b in zip(model.targets.backbone.variables, saved.variables, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_function_of_the_current_folder_takes_weights_of_a_file(mine):
    run = Run().replace(model={"backbone": "my_backbones:make", "projector_dim": 4})
    model = built(run)
    assert load_weights(run, model, 32) is None
    trained = sys.modules["my_backbones"].make()
    trained.save_weights("my.weights.h5")
    run = run.replace(model={"backbone_weights": "my.weights.h5"})
    assert load_weights(run, model, 32) == "backbone from my.weights.h5"
    np.testing.assert_array_equal(
        model.backbone.trainable_variables[0], trained.trainable_variables[0]
    )
    run = run.replace(model={"backbone": "plain.keras"})
    with pytest.raises(InputError, match=r"'my.weights.h5' do not fit plain.keras"):
        load_weights(run, model, 32)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"backbone": "resnet99"}, r"backbone must be one of resnet18, .*; got 'resnet99'"),
        ({"backbone": "keras:VGG99"}, "model of keras.applications, such as"),
        ({"backbone": "keras:vgg16"}, "model of keras.applications, such as"),
        ({"backbone": "keras:InceptionV3"}, "at least 75x75"),
        ({"backbone": "none.keras"}, r"'none\.keras' does not exist"),
        ({"backbone": "small.keras"}, "takes images of 16×16 pixels; image_size must be that, got"),
        ({"backbone": "my_backbones:fixed"}, "takes images of 16×16 pixels"),
        ({"backbone": "my_backbones:gray"}, r"must take images \[B, H, W, 3\]; it takes None None"),
        ({"backbone": "my_backbones:maps"}, r"must return vectors \[B, D\]"),
        ({"backbone": "my_backbones:nothing"}, "must return a keras.Model; got 3"),
        ({"backbone": "my_backbones:fails"}, "fails raises KeyError: 'no such file'"),
        ({"backbone": "my_backbones:unsaved"}, "that Keras can save and load"),
        ({"backbone": "my_backbones:none"}, "must have a function none"),
        ({"backbone": "no_such_module:make"}, "cannot import no_such_module"),
        ({"backbone_weights": "imagenet"}, "for a model of keras.applications"),
        ({"backbone_weights": "none.h5"}, r"'none\.h5' does not exist"),
        ({"backbone_weights": "a.h5", "pytorch_weights": "b.pth"}, "exclude each other"),
    ],
)
def test_what_cannot_be_a_backbone_is_one_line(mine, settings, said):
    def start():
        run = Run().replace(model={"projector_dim": 4, "width": 2, **settings})
        load_weights(run, built(run), 32)

    with pytest.raises(InputError, match=said):
        start()


@pytest.mark.skipif(not _compat.KERAS_3, reason="Keras 2 does not say how far its draws are")
def test_a_loaded_model_goes_on_with_the_draws_of_its_dropout(tmp_path):
    model = ks.SimSiam(pooled(drop=0.5), ks.projector(4, 4), ks.predictor(4))
    images = np.ones((4, 16, 16, 3), "f")
    model.backbone(images, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = model.backbone(images, training=True)
    np.testing.assert_array_equal(loaded.backbone(images, training=True), expected)


def test_on_one_device_batch_norm_stays_as_it_is():
    network = pooled()
    synchronize(network)
    assert not network.layers[2].synchronized
