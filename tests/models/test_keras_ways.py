"""What Keras offers of a model works with ours."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_simsiam as ks
from keras_simsiam import InputError
from keras_simsiam.models import batches
from keras_simsiam.preprocessing import remember


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


def test_labels_are_refused_not_taken_for_weights(model, batch):
    labels = tf.constant(np.arange(12))
    for data in ((batch, labels), (batch[0], labels), (batch, tf.one_hot(labels, 12))):
        with pytest.raises(InputError, match=r"views without labels, .*; got labels"):
            model.test_step(data)
    assert model.predict_step((batch[0], labels)).shape == (12, 8)


def test_views_that_nothing_normalized_are_refused_unless_the_model_knows_them(model, batch):
    """A backbone that takes images from 0 to 255 is told of by the preprocessing."""
    in_bytes = tuple(255 * view for view in batch)
    again = ks.SimSiam.from_config(model.get_config())
    again.compile(run_eagerly=True)
    for use in (again.train_on_batch, again.evaluate):
        with pytest.raises(InputError, match=r"must be normalized views, .* values above 100"):
            use(*in_bytes)
    again.preprocessing = ks.Preprocessing(16, (0, 0, 0), (1 / 255,) * 3)
    assert np.isfinite(again.test_on_batch(*in_bytes)).all()
    assert ks.SimSiam.from_config(again.get_config()).preprocessing == again.preprocessing
    again.preprocessing = 16
    with pytest.raises(InputError, match="preprocessing must be a Preprocessing; got 16"):
        ks.Encoder.of(again)


def test_views_of_another_normalization_are_refused_in_evaluate(model, batch):
    made = remember(tf.data.Dataset.from_tensors(batch), ks.Preprocessing(16))
    again = ks.SimSiam.from_config(model.get_config())
    again.compile()
    again.preprocessing = ks.Preprocessing(16, (0, 0, 0))
    with pytest.raises(InputError, match="must be made by the model's preprocessing"):
        again.evaluate(made)


def test_a_model_that_is_not_compiled_is_saved_and_refuses_to_train(model, batch, tmp_path):
    again = ks.SimSiam.from_config(model.get_config())
    again.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(batch[0]), again(batch[0]))
    with pytest.raises(InputError, match="must be compiled"):
        loaded.train_step(batch)


def test_optimizers_need_weights_and_are_two_objects(model, batch):
    again = ks.SimSiam.from_config(model.get_config())
    again.compile("sgd", predictor_optimizer="sgd")
    optimizer = keras.optimizers.SGD()
    with pytest.raises(InputError, match="predictor_optimizer must not be the same"):
        again.compile(optimizer, predictor_optimizer=optimizer)
    again.trainable = False
    again.compile("sgd")
    with pytest.raises(InputError, match="must be trainable; got none"):
        again.train_step(batch)


def test_regularizers_of_layers_are_part_of_what_is_minimized(batch):
    """They add 2 λ w to the gradient of a weight."""

    def trained(regularizer):
        keras.utils.set_random_seed(0)
        image = keras.Input((16, 16, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(image)
        dense = keras.layers.Dense(4, kernel_regularizer=regularizer)
        heads = ks.projector(4, 4, layers=1), ks.predictor(4)
        model = ks.SimSiam(keras.Model(image, dense(pooled)), *heads)
        model.compile(keras.optimizers.SGD(0.1))
        before = np.array(dense.kernel)
        model.train_step(batch)
        return before, np.array(dense.kernel)

    before, plain = trained(None)
    np.testing.assert_allclose(
        trained(keras.regularizers.L2(0.5))[1], plain - 0.1 * 2 * 0.5 * before, atol=1e-5
    )


def test_a_model_from_outside_the_scope_of_a_strategy_is_refused_in_it(model, batch):
    message = "must be created within the scope of MirroredStrategy; it was created outside"
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        with pytest.raises(InputError, match=message):
            model.fit(*batch, verbose=0)
        batches.check_scope(ks.SimSiam.from_config(model.get_config()).step_counter)


def test_what_forward_returns_is_checked(batch):
    class Method(ks.SimSiam):
        def forward(self, views, training):
            return tf.ones([12]), tf.ones([12, 4])  # a loss for each image

    pool = [keras.Input((16, 16, 3)), keras.layers.GlobalAveragePooling2D()]
    method = Method(keras.Sequential(pool), ks.projector(3, 4, layers=1), ks.predictor(4))
    method.compile()
    with pytest.raises(InputError, match=r"forward must return .*; got float32 \[12\]"):
        method.test_step(batch)


def test_export_is_that_of_the_backbone(model, batch, tmp_path):
    model.predict(batch[0], verbose=0)
    model.export(str(tmp_path / "exported"))
    module = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(module.serve(tf.constant(batch[0])), model(batch[0]), atol=1e-5)
