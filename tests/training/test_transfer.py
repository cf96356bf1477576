"""A new run from the weights of an old one: what is taken, and what is refused."""

import os

import keras
import numpy as np
import pytest
from helpers.backbones import BACKBONES, TINY

import keras_simsiam as ks
from keras_simsiam import InputError, options
from keras_simsiam.config import Run
from keras_simsiam.training import checkpoint_file
from keras_simsiam.training.inputs import Inputs
from keras_simsiam.training.prepare import build_model
from keras_simsiam.training.start import load_weights
from keras_simsiam.training.transfer import place_of

pytestmark = pytest.mark.usefixtures("tiny_backbones")


def settings(**model):
    return Run().replace(model={"width": 1, "projector_dim": 4, "projector_hidden": 4, **model})


def built(run, size=16):
    inputs = Inputs(np.zeros(4), None, ks.Preprocessing(size), 2, 1, "")
    return build_model(run, inputs)


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """A folder with ``runs/old`` and its checkpoint, and its model, other than a new run's."""
    run, tmp_path = settings().replace(training={"seed": 7}), tmp_path_factory.mktemp("old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "resnet18", TINY["resnet18"])
        model = built(run)
    folder = tmp_path / "runs/old"
    (folder / "checkpoints").mkdir(parents=True)
    run.save(folder / "config.yaml")
    checkpoint_file.write(folder / "checkpoints/step-00000003.keras", model, {"step": 3})
    model.save(tmp_path / "old.keras")
    model.backbone.save_weights(tmp_path / "old.weights.h5")
    ks.export_encoder(model, tmp_path / "saved_models/old")
    return tmp_path, model


@pytest.fixture
def old(left, monkeypatch):
    """The model of the old run, in the folder that has it."""
    folder, model = left
    monkeypatch.chdir(folder)
    return model


def started(source, **model):
    run = settings(start_from=place_of(source, "runs"), **model)
    new = built(run)
    return new, load_weights(run, new, 16)


def taken(new, old):
    """The parts with the weights of another model."""

    def same(a, b):
        return len(a) == len(b) and all(map(np.array_equal, a, b))

    return [n for n, part in new.parts.items() if same(part.weights, old.parts[n].weights)]


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("old", ["backbone", "projector", "predictor"]),
        ("runs/old", ["backbone", "projector", "predictor"]),
        ("old.keras", ["backbone", "projector", "predictor"]),
        ("saved_models/old", ["backbone"]),
        ("old.weights.h5", ["backbone"]),
    ],
)
def test_the_parts_that_there_are_come_from(old, source, parts):
    new, said = started(source)
    assert taken(new, old) == parts
    assert said.startswith(f"{', '.join(parts)} from ")
    assert new.steps_done == 0


def test_heads_of_other_shapes_stay_random_and_are_named(old):
    new, said = started("old", predictor_hidden=3)
    assert taken(new, old) == ["backbone", "projector"]
    assert said.endswith("step-00000003.keras; random: predictor")


def test_another_method_takes_the_backbone_and_its_momentum_encoder_too(old):
    new, _ = started("old", method="byol")
    assert "backbone" in taken(new, old)
    for a, b in zip(new.targets.backbone.weights, old.backbone.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("source", "model", "said"),
    [
        (
            "old",
            {"width": 2},
            r"its backbone is resnet18 of width 1, that of this run resnet18 of width 2; the first "
            r"difference is \[3, 3, 3, 8\] there, \[3, 3, 3, 16\] here",
        ),
        ("saved_models/old", {"width": 2}, "its backbone is another network, that of this run"),
        ("more.keras", {}, "layers there"),
        ("nothing", {}, "--from 'nothing' must be a run's name or folder"),
        ("a.pth", {}, "are read by --pytorch-weights"),
        ("none.keras", {}, "'none.keras' does not exist"),
        ("runs/empty", {}, "has neither a checkpoint nor a SavedModel"),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_both(old, source, model, said):
    images = old.backbone.input
    scaled = keras.layers.Rescaling(2.0)(images)
    more = keras.Model(images, old.backbone(scaled))
    more.save("more.keras")
    os.makedirs("runs/empty", exist_ok=True)
    settings().save("runs/empty/config.yaml")
    with pytest.raises(InputError, match=said):
        started(source, **model)


def test_another_normalization_is_told(old, monkeypatch):
    half = ks.Preprocessing(16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    monkeypatch.setattr(old, "preprocessing", half)
    old.save("half.keras")
    with pytest.warns(UserWarning, match=r"are for images with mean \(0.5, 0.5, 0.5\)"):
        started("half.keras")


def test_from_is_the_option_and_the_file_has_another_name():
    run, _ = options.parse_run(options.Parser("train", "Trains."), ["--from", "old"])
    assert run.to_dict()["model"]["start_from"] == "old"
