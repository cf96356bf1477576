"""What a method gets from `JointEmbedding` by defining no more than its networks and its loss."""

import importlib
import inspect
import pathlib
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.backbones import tiny

import keras_simsiam as ks
from keras_simsiam import (
    Augmentation,
    CollapseMonitor,
    InputError,
    data,
    paper_optimizers,
)
from keras_simsiam.fields import choices
from keras_simsiam.model_settings import Model
from keras_simsiam.models import methods
from keras_simsiam.models.base import JointEmbedding
from keras_simsiam.models.heads import projector
from keras_simsiam.preprocessing import Preprocessing


@keras.saving.register_keras_serializable("tests")
class Decorrelated(JointEmbedding):
    """A method without a predictor and with a setting, that counts its steps once more."""

    def __init__(self, backbone, projector, weight=0.01, **kwargs):
        super().__init__({"backbone": backbone, "projector": projector}, **kwargs)
        self.weight = weight
        self.after = self.add_weight(shape=(), initializer="zeros", trainable=False, name="after")

    def forward(self, views, training):
        z1, z2 = (self.projector(self.backbone(x, training=training)) for x in views)
        off = tf.matmul(z1, z1, transpose_a=True) - tf.linalg.diag(tf.reduce_sum(z1 * z1, 0))
        loss = tf.reduce_mean(tf.square(z1 - z2)) + self.weight * tf.reduce_mean(tf.square(off))
        return loss, z1

    def after_step(self):
        self.after.assign_add(1.0)

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}


@pytest.fixture
def images():
    return np.random.RandomState(0).randint(0, 256, (32, 16, 16, 3), np.uint8)


def make(**kwargs):
    model = Decorrelated(tiny(2), projector(16, 8, layers=2), **kwargs)
    model.compile(**paper_optimizers(8, 8))
    return model


def test_a_method_of_one_class_trains_is_watched_and_saved(images, tmp_path):
    model = make(weight=0.02)
    pairs = data.views(images, Augmentation.preset("cifar"), 8)
    watch = CollapseMonitor(images)
    before = [v.numpy() for v in model.trainable_variables]
    history = model.fit(
        pairs, steps_per_epoch=4, epochs=2, callbacks=[watch], verbose=0, shuffle=False
    ).history
    assert {"loss", "z_std", "learning_rate", "backbone_rank", "projector_rank"} <= set(history)
    assert all(
        (a != b.numpy()).any() for a, b in zip(before, model.trainable_variables, strict=True)
    )
    assert model.steps_done == model.after.numpy() == 8
    model.save(tmp_path / "method.keras")
    again = keras.models.load_model(tmp_path / "method.keras")
    assert (again.weight, again.steps_done, again.after.numpy()) == (0.02, 8, 8)
    assert list(again.parts) == ["backbone", "projector"]
    x = np.random.RandomState(1).rand(4, 16, 16, 3).astype("f")
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


def test_preprocessing_travels_with_the_model(tmp_path):
    augmentation = Augmentation(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    on_device = make(augmentation=augmentation, image_size=24)
    by_hand = make()
    assert by_hand.preprocessing is None
    by_hand.preprocessing = on_device.preprocessing
    for model in (on_device, by_hand):
        model.save(tmp_path / "method.keras")
        found = keras.models.load_model(tmp_path / "method.keras").preprocessing
        assert found == Preprocessing(24, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))


def test_each_view_can_have_an_augmentation_of_its_own(images, tmp_path):
    pair = (Augmentation.preset("none"), Augmentation(grayscale_probability=1.0))
    model = make(augmentation=pair, image_size=16)
    (x1, x2), _ = model._views(next(iter(data.views(images, pair, 8, augment_on="device"))))
    gray = x2.numpy() * pair[1].std + pair[1].mean
    np.testing.assert_allclose(gray[..., 0], gray[..., 1], atol=1e-5)
    assert np.abs(np.diff(x1.numpy() * pair[0].std + pair[0].mean)).max() > 0.1
    model.save(tmp_path / "method.keras")
    assert tuple(keras.models.load_model(tmp_path / "method.keras").augmentation) == pair


def test_augmentation_without_an_image_size_is_refused():
    with pytest.raises(InputError, match="image_size is required"):
        make(augmentation=Augmentation())


def test_every_method_is_a_choice_and_a_public_name():
    """Fails if a new method's file was written but its name was forgotten in the configuration."""
    folder = pathlib.Path(inspect.getfile(methods)).parent
    written = set()
    for module in pkgutil.iter_modules([str(folder)]):
        found = importlib.import_module(f"keras_simsiam.models.{module.name}")
        for value in vars(found).values():
            is_method = inspect.isclass(value) and issubclass(value, JointEmbedding)
            if is_method and value is not JointEmbedding and value.__module__ == found.__name__:
                written.add((module.name, value))
    assert written == {(name, methods.method(name)) for name in choices(Model, "method")}
    for _, value in written:
        assert getattr(ks, value.__name__) is value


@pytest.mark.parametrize("hook", ["before_step", "after_step"])
def test_a_hook_that_does_nothing_converts_to_a_graph(hook):
    """Otherwise several processes, whose step is converted, print a warning of TensorFlow's."""
    tf.autograph.to_graph(getattr(JointEmbedding, hook))
