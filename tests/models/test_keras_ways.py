"""What Keras offers of a model works with ours."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_simsiam as ks
from keras_simsiam import InputError


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A backbone that is no functional model, with a weight that the features do not need."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = keras.layers.Conv2D(8, 3, 2)
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.unused = keras.layers.Dense(2)

    def call(self, x, training=False):
        h = self.pool(self.convolution(x))
        self.unused(h)
        return h


@pytest.fixture(scope="module")
def batch():
    return tuple(np.random.RandomState(i).rand(12, 16, 16, 3).astype("f") for i in (0, 1))


@pytest.fixture(scope="module")
def model(batch):
    backbone = Subclassed()
    backbone(batch[0])
    model = ks.SimSiam(backbone, ks.projector(8, 16, layers=2), ks.predictor(16))
    model.compile(**ks.paper_optimizers(12, 10))
    return model


def test_a_subclassed_backbone_trains_with_a_weight_without_gradient_and_is_saved(
    model, batch, tmp_path
):
    model.fit(*batch, batch_size=6, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(batch[0]), model(batch[0]))
    assert again.steps_done == model.steps_done


def test_one_that_is_not_built_is_built_at_the_image_size_or_refused():
    assert ks.SimSiam(Subclassed(), image_size=16).backbone.built
    with pytest.raises(InputError, match="backbone must be built"):
        ks.SimSiam(Subclassed())


def test_steps_on_one_batch(model, batch):
    before = model.steps_done
    assert np.isfinite(model.train_on_batch(*batch)).all()
    assert np.isfinite(model.train_on_batch(batch)).all()  # the views as one argument
    assert model.steps_done == before + 2
    loss, z_std = model.test_on_batch(*batch)
    assert -1 <= loss <= 1
    assert z_std > 0
    assert model.predict_on_batch(batch[0]).shape == (12, 8)


def test_sample_weight_multiplies_the_loss_of_each_image(model, batch):
    first, second = (model.test_on_batch(*(v[half] for v in batch))[0] for half in HALVES)
    weights = np.repeat([3.0, 0.5], 6).astype("f")
    found = model.test_on_batch(*batch, sample_weight=weights)[0]
    assert found == pytest.approx((3 * first + 0.5 * second) / 2, abs=1e-5)


HALVES = (slice(0, 6), slice(6, 12))


def test_evaluate_weighs_a_smaller_last_batch_by_its_size(model, batch):
    whole = model.test_on_batch(*batch)[0]
    assert model.evaluate(*batch, batch_size=5, verbose=0)[0] == pytest.approx(whole, abs=1e-5)


def test_class_weight_and_weights_of_another_shape_are_refused(model, batch):
    with pytest.raises(InputError, match="class_weight must be None"):
        model.fit(*batch, class_weight={0: 1.0}, verbose=0)
    with pytest.raises(InputError, match=r"sample_weight must have shape \[B\]"):
        model.test_step((*batch, np.ones((12, 2), "f")))


def test_export_is_that_of_the_backbone(model, batch, tmp_path):
    model.predict(batch[0], verbose=0)
    model.export(str(tmp_path / "exported"))
    module = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(module.serve(tf.constant(batch[0])), model(batch[0]), atol=1e-5)
