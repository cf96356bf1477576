"""``python -m keras_simsiam.import_weights``, and what the other commands do with its weights."""

import keras
import numpy as np
import pytest

import keras_simsiam as ks
from keras_simsiam import InputError, evaluate, export_pytorch, import_weights, load_encoder
from keras_simsiam.config import Run
from keras_simsiam.training import inputs, prepare, start
from keras_simsiam.training.output import Output
from keras_simsiam.training.run import train

pytest.importorskip("safetensors.numpy", reason="needs pip install '.[torch]'")


@pytest.fixture
def checkpoint(tmp_path):
    """A whole SimSiam in the authors' layout, and the model that it is of."""
    model = ks.SimSiam(ks.resnet18(width=4), ks.projector(32, 16), ks.predictor(16))
    model.backbone(np.random.default_rng(0).random((8, 32, 32, 3), np.float32), training=True)
    path = tmp_path / "checkpoint.safetensors"
    export_pytorch(model, path, "authors")
    return path, model


def test_imported_checkpoint_is_evaluated(checkpoint, tmp_path, capsys):
    path, model = checkpoint
    out = tmp_path / "out"
    arguments = [str(path), "--backbone", "resnet18", "-o", str(out), "--image-size", "32"]
    assert import_weights.main(arguments) == 0
    encoder = load_encoder(out)
    assert encoder.image_size == 32
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)
    a = ks.Augmentation()
    expected = model.backbone(((images / 255 - a.mean) / a.std).astype(np.float32))
    np.testing.assert_allclose(encoder(images), expected, atol=1e-5)
    assert evaluate.main(["--saved-model", str(out)]) == 0
    assert "| knn | 5,400 (1) |" in capsys.readouterr().out
    with pytest.raises(InputError, match="exists; choose another --output"):
        import_weights.main(arguments)


def test_another_backbone_than_the_checkpoints_is_refused(checkpoint, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"missing: backbone\.layer1\.0\.bn3"):
        import_weights.main([str(checkpoint[0]), "--backbone", "resnet50", "-o", str(out)])
    assert not out.exists()


@pytest.mark.slow
def test_a_run_begins_with_the_weights(checkpoint, tmp_path, capsys):
    path, model = checkpoint
    output = Output(run_dir=str(tmp_path / "runs"), saved_model_dir=str(tmp_path / "models"))
    train(run_from(path), output)
    assert f"all parts from {path}" in capsys.readouterr().out
    (saved,) = (tmp_path / "runs").glob("*/checkpoints/step-*.keras")
    # With a rate of 0 only the running statistics move.
    trained = keras.models.load_model(saved)
    assert same_weights(trained, model) == ["backbone", "projector", "predictor"]


def test_a_run_begins_with_a_backbone_where_there_is_no_more(checkpoint):
    path, model = checkpoint
    export_pytorch(model, path)
    run = run_from(path)
    built = prepare.build_model(
        run, inputs.Inputs(np.zeros(4), None, ks.Preprocessing(32), 2, 1, "")
    )
    assert start.load_weights(run, built, 32) == f"backbone from {path}"
    assert same_weights(built, model) == ["backbone"]


def run_from(path):
    return Run().replace(
        data={"dataset": "photo_patches"},
        model={"width": 4, "projector_dim": 16, "pytorch_weights": str(path)},
        training={"epochs": 1, "batch_size": 1024, "learning_rate": 0.0},
    )


def same_weights(model, other):
    """The parts whose trained weights are those of another model."""
    return [
        part
        for part in ("backbone", "projector", "predictor")
        if all(
            np.array_equal(a, b)
            for a, b in zip(
                getattr(model, part).trainable_variables,
                getattr(other, part).trainable_variables,
                strict=True,
            )
        )
    ]
