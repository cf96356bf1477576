"""A run in and out of YAML, and the settings it starts from."""

import dataclasses

import pytest

from keras_simsiam import Augmentation, InputError, Run
from keras_simsiam.augmentation import AUGMENTATIONS
from keras_simsiam.method_options import METHOD_OPTIONS
from keras_simsiam.presets import PRESETS, default_preset, preset


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_survives_yaml(name, tmp_path):
    run = preset(name)
    run.save(tmp_path / "run.yaml")
    assert Run.load(tmp_path / "run.yaml") == run


def test_what_a_file_leaves_out_is_taken_from_the_base(tmp_path):
    (tmp_path / "run.yaml").write_text("training:\n  weight_decay: 1e-4\n  epochs: 7\n")
    run = Run.load(tmp_path / "run.yaml", preset("cifar"))
    assert run.training.weight_decay == 1e-4  # which YAML 1.1 reads as text
    assert run.training.epochs == 7
    assert run.training.batch_size == preset("cifar").training.batch_size


def test_presets_are_the_papers_settings():
    paper, cifar = preset("imagenet"), preset("cifar")
    assert (paper.model.backbone, paper.training.batch_size) == ("resnet50", 512)
    assert (paper.training.learning_rate, paper.training.weight_decay) == (0.05, 1e-4)
    assert (paper.training.epochs, paper.model.projector_layers) == (100, 3)
    assert (cifar.training.learning_rate, cifar.training.weight_decay) == (0.03, 5e-4)
    assert (cifar.training.epochs, cifar.model.projector_layers) == (800, 2)
    assert cifar.augmentation.blur_probability == 0
    assert paper.augmentation == Augmentation()
    assert preset("tiny_imagenet").training.epochs == 50


def test_the_reports_preset_is_the_papers_but_for_its_size_and_its_four_departures():
    report, paper = preset("report"), preset("imagenet")
    t, m = report.training, report.model
    assert t.learning_rate * t.batch_size / 256 == pytest.approx(4e-4)
    assert (t.optimizer, t.momentum, t.schedule, t.weight_decay) == ("adam", 0.9, "constant", 0.0)
    assert (t.batch_size, t.zero_gradients, m.symmetry) == (16, False, "asymmetric")
    assert (t.epochs, report.data.dataset, report.data.image_size) == (50, "tiny_imagenet", 224)
    assert m.replace(symmetry=paper.model.symmetry) == paper.model
    assert report.augmentation == paper.augmentation


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("photo_patches", "photo_patches"),
        ("tiny_imagenet", "tiny_imagenet"),
        ("cifar100", "cifar"),
        ("folder:x", "imagenet"),
        ("tfds:mnist", "imagenet"),
    ],
)
def test_each_dataset_has_a_preset(dataset, expected):
    assert default_preset(dataset) == expected


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
def test_augmentations_by_name(name):
    assert Augmentation.preset(name) == Augmentation(**AUGMENTATIONS[name])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("training: {epoch: 3}", "unknown setting 'epoch' of training"),
        ("trainng: {epochs: 3}", r"'trainng' of run; .*did you mean training\?"),
        ("training:", "training must be a mapping; got None"),
        ("training: {self: 3}", "unknown setting 'self' of training"),
        ("self: 3", "unknown setting 'self' of run"),
        ('"a\\nb": 3', r"unknown setting 'a\\nb' of run"),
        ("training: {epochs: 2024-01-01}", "epochs must be an integer; got '2024-01-01'"),
        ("augmentation: {crop_area: [[[0.1]]]}", "crop_area must be 2 numbers; got 0.1"),
        ("training: {epochs: three}", "epochs must be an integer; got 'three'"),
        ("training: {epochs: 2.5}", "epochs must be an integer; got 2.5"),
        ("training: {epochs: .inf}", "epochs must be an integer; got inf"),
        ("training: 3", "training must be a mapping; got 3"),
        ("training: {3: 4}", "unknown setting '3' of training"),
        ("model: {stop_gradient: 'yes'}", "stop_gradient must be true or false; got 'yes'"),
        ("augmentation: {crop_area: [0.2]}", "crop_area must be 2 numbers; got 0.2"),
        ("augmentation: {hue: 0.7}", "hue must be at most 0.5; got 0.7"),
        ("model: {backbone: vgg}", "backbone must be one of resnet18, .*; got 'vgg'"),
        ("training: {batch_size: 1}", "batch_size must be at least 2; got 1"),
        (
            "training: {epochs: 3, warmup_epochs: 3}",
            "warmup_epochs must be below epochs, which is 3; got 3",
        ),
        ("training: {seed: 4294967296}", "seed must be below .*; got 4294967296"),
        ("evaluation: {knn_temperature: 0}", "knn_temperature must be above 0; got 0"),
        ("- 3", "must contain a mapping"),
        ("data: {dataset: mnits}", "dataset must be one of photo_patches, .*; got 'mnits'"),
        ("training: {", "is not valid YAML"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(text, named, tmp_path):
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(InputError, match=named) as caught:
        Run.load(tmp_path / "run.yaml")
    assert str(caught.value).startswith(f"'{tmp_path / 'run.yaml'}'")
    assert "\n" not in str(caught.value)


def test_a_run_is_frozen_and_replace_gives_a_checked_copy():
    run = Run()
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.training.epochs = -1
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.training.epoch = 3
    changed = run.replace(training={"epochs": 3}, data={"dataset": "cifar10"})
    assert (changed.training.epochs, changed.data.dataset) == (3, "cifar10")
    assert changed.training.batch_size == run.training.batch_size
    assert run == Run()


def test_unknown_presets_are_named():
    for call in (preset, Augmentation.preset):
        with pytest.raises(InputError, match="'best'"):
            call("best")
    with pytest.raises(InputError, match=r"method must be one of simsiam, .*; got 'best'"):
        preset("cifar", "best")


def test_each_methods_preset_is_its_papers_and_another_method_can_take_a_presets_place():
    assert METHOD_OPTIONS.keys() - PRESETS.keys() == {"simsiam"}  # whose preset is "imagenet"
    for name in METHOD_OPTIONS.keys() & PRESETS.keys():
        assert preset(name).model.method == name
        assert preset(name).model.backbone == "resnet50"
    simclr = preset("simclr").training
    assert simclr.learning_rate * simclr.batch_size / 256 == pytest.approx(4.8)
    assert preset("byol").model.predictor_hidden == 4096
    assert preset("vicreg").model.projector_dim == 8192
    small = preset("photo_patches", "moco")
    assert small.model.queue == 4096
    assert small.model.projector_dim == preset("photo_patches").model.projector_dim
