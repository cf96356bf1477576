"""Projector and predictor as the paper has them."""

import keras
import numpy as np
import pytest

from keras_simsiam import InputError, predictor, projector
from keras_simsiam.model_settings import Model
from keras_simsiam.models.heads import predictor_of

stats = pytest.importorskip("scipy.stats")


def of_kind(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_projector_has_batch_norm_on_every_layer_the_last_without_scale_and_offset(layers):
    model = projector(32, 24, hidden_dim=16, layers=layers)
    dense = of_kind(model, keras.layers.Dense)
    norms = of_kind(model, keras.layers.BatchNormalization)
    assert [d.units for d in dense] == [16] * (layers - 1) + [24]
    assert not any(d.use_bias for d in dense)
    assert [(n.scale, n.center) for n in norms] == [(True, True)] * (layers - 1) + [(False, False)]
    assert len(of_kind(model, keras.layers.ReLU)) == layers - 1


def test_heads_of_the_papers_size():
    head = projector(2048)
    assert [d.units for d in of_kind(head, keras.layers.Dense)] == [2048, 2048, 2048]
    assert [d.units for d in of_kind(predictor(), keras.layers.Dense)] == [512, 2048]


@pytest.mark.parametrize("dim", [256, 512, 1024, 2048])
def test_the_predictors_hidden_width_is_a_quarter_of_z_of_any_dimension(dim):
    """Appendix B; ``--projector-dim`` alone changes both."""
    made = predictor_of(Model(projector_dim=dim))
    assert [d.units for d in of_kind(made, keras.layers.Dense)] == [dim // 4, dim]


def test_predictor_is_a_bottleneck_with_batch_norm_on_the_hidden_layer_only():
    model = predictor(64)
    kinds = [type(layer).__name__ for layer in model.layers[1:]]
    assert kinds == ["Dense", "BatchNormalization", "ReLU", "Dense"]
    assert model.layers[1].units == 16
    assert not model.layers[1].use_bias
    assert model.layers[4].use_bias


def test_fully_connected_layers_start_uniform_by_fan_in():
    model = predictor(256, 512)
    for dense in of_kind(model, keras.layers.Dense):
        limit = 1 / np.sqrt(dense.kernel.shape[0])
        uniform = stats.uniform(-limit, 2 * limit)
        weights = [dense.kernel.numpy().ravel()[::11]]
        weights += [dense.bias.numpy()] if dense.use_bias else []
        for values in weights:
            assert stats.kstest(values, uniform.cdf).pvalue > 1e-4


@pytest.mark.parametrize(
    ("head", "batch_norm", "normalized"),
    [
        (projector, "all", [True, True, True]),
        (projector, "hidden", [True, True, False]),
        (projector, "none", [False, False, False]),
        (predictor, "hidden", [True, False]),
        (predictor, "all", [True, True]),
        (predictor, "none", [False, False]),
    ],
)
def test_batch_norm_is_where_table_3_puts_it_and_biases_where_it_is_not(
    head, batch_norm, normalized
):
    model = head(16, batch_norm=batch_norm)
    kinds = [type(layer).__name__ for layer in model.layers]
    following = [kinds[i + 1 : i + 2] for i, kind in enumerate(kinds) if kind == "Dense"]
    assert [f == ["BatchNormalization"] for f in following] == normalized
    biases = [dense.use_bias for dense in of_kind(model, keras.layers.Dense)]
    assert biases == [not n for n in normalized]


@pytest.mark.parametrize("head", [projector, predictor])
def test_unknown_placement_of_batch_norm_is_named(head):
    with pytest.raises(InputError, match="batch_norm must be one of all, hidden, none; got 'some'"):
        head(16, batch_norm="some")
