"""Options from the configuration: where a value comes from, and what help says."""

import contextlib
import importlib
import pathlib
import re
import subprocess
import sys

import pytest

from keras_simsiam import InputError, options, train
from keras_simsiam.config import Run


def parse(*argv):
    parser = options.Parser("train", "Trains.")
    run, _ = options.parse_run(parser, argv)
    return run


def test_an_option_goes_before_the_file_and_the_file_before_the_preset(tmp_path):
    (tmp_path / "run.yaml").write_text("training: {epochs: 7, batch_size: 32}\n")
    run = parse("--config", str(tmp_path / "run.yaml"), "--batch-size", "16")
    assert run.training.batch_size == 16
    assert run.training.epochs == 7
    assert run.model.width == 16  # of the preset for photo_patches


def test_the_preset_hangs_on_the_dataset_wherever_that_is_given(tmp_path):
    (tmp_path / "run.yaml").write_text("data: {dataset: cifar10}\n")
    for argv in (("--dataset", "cifar10"), ("--config", str(tmp_path / "run.yaml"))):
        run = parse(*argv)
        assert run.data.dataset == "cifar10"
        assert run.model.stem == "cifar"
    assert parse("--dataset", "cifar10", "--preset", "imagenet").model.stem == "imagenet"


def test_a_preset_is_changed_for_the_method_wherever_that_is_given(tmp_path):
    (tmp_path / "run.yaml").write_text("model: {method: moco}\n")
    for argv in (("--method", "moco"), ("--config", str(tmp_path / "run.yaml"))):
        assert parse(*argv).model.queue == 4096  # photo_patches has 5,400 images
    assert parse("--method", "moco", "--queue", "512").model.queue == 512
    assert parse("--preset", "byol").model.method == "byol"
    assert parse("--preset", "byol", "--method", "simclr").model.projector_dim == 256


def test_every_field_of_a_run_is_an_option():
    parser = options.Parser("train", "Trains.")
    options.parse_run(parser, [])
    text = parser.format_help()
    for section in Run().to_dict().values():
        for name in section:
            assert re.search(rf"--{name.replace('_', '-')}[ ,\n]", text), name


def test_help_names_the_choices_of_an_option():
    parser = options.Parser("train", "Trains.")
    options.parse_run(parser, [])
    assert "--stem {imagenet,cifar}" in parser.format_help()
    with pytest.raises(InputError, match="--stem must be one of imagenet, cifar; got 'vgg'"):
        parse("--stem", "vgg")


def test_pairs_and_switches_are_read():
    run = parse("--crop-area", "0.3", "0.9", "--no-stop-gradient")
    assert run.augmentation.crop_area == (0.3, 0.9)
    assert run.model.stop_gradient is False


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--epohcs", "3"], "unknown option '--epohcs'; did you mean --epochs?"),
        (["--epochs", "many"], "'many'"),
        (["--epochs", "0"], "epochs must be at least 1; got 0"),
        (["--preset", "best"], "'best'"),
        (["--config", "nowhere.yaml"], "cannot read 'nowhere.yaml'"),
        (["--hue", "0.7"], "hue must be at most 0.5"),
    ],
)
def test_bad_options_are_named(argv, named):
    with pytest.raises(InputError, match=named.replace("?", r"\?")):
        parse(*argv)


def test_help_answers_in_groups_with_defaults_and_without_waiting_for_tensorflow():
    argv = [sys.executable, "-X", "importtime", "-m", "keras_simsiam.train", "--help"]
    run = subprocess.run(argv, capture_output=True, text=True)
    assert "simple_parsing" in run.stderr
    assert "tensorflow" not in run.stderr
    assert run.returncode == 0, run.stderr
    for words in ("Where the images come from", "How it is trained", "default: 64"):
        assert words in run.stdout
    assert "['" not in run.stdout


@pytest.mark.parametrize(
    ("command", "argv", "name"),
    [
        ("train", ["--run-dir", "gs://bucket/runs"], "run_dir"),
        ("train", ["--dataset", "folder:s3://bucket/images"], "dataset"),
        ("evaluate", ["--saved-model", "hdfs://host/model"], "saved_model"),
        ("pack", ["folder:images", "gs://bucket/out"], "output"),
        ("pack", ["folder:gs://bucket/images", "out"], "dataset"),
        ("duplicates", ["s3://bucket/features.npz", "-o", "x.csv"], "features"),
    ],
)
def test_a_path_in_an_object_store_is_refused_by_every_command(command, argv, name, tmp_path):
    main = importlib.import_module(f"keras_simsiam.{command}").main
    with contextlib.chdir(tmp_path), pytest.raises(InputError, match=f"{name} must be on a local"):
        main(argv)
    assert not [*tmp_path.iterdir()]


def test_a_path_in_an_object_store_is_refused_in_python_and_yaml(tmp_path):
    for path in ("gs://bucket/x", pathlib.Path("gs://bucket/x")):
        with pytest.raises(InputError, match="path must be on a local or mounted disk; got 'gs:/"):
            Run().save(path)
    (tmp_path / "run.yaml").write_text("data: {data_dir: 's3://bucket/data'}")
    with pytest.raises(InputError, match="data_dir must be on a local"):
        train.main(["--config", str(tmp_path / "run.yaml")])
    assert Run().replace(data={"data_dir": "gs_data/s3:x"}).data.data_dir == "gs_data/s3:x"
