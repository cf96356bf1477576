"""Settings that follow from a folder's images."""

import pytest
from helpers import write_image

from keras_simsiam import InputError, options, preset
from keras_simsiam.data.packing import Packing, pack
from keras_simsiam.presets import fitted
from keras_simsiam.training.fitting import Fitting
from keras_simsiam.training.folder import RunFolder
from keras_simsiam.training.inputs import load_inputs
from keras_simsiam.training.output import Output


def parse(*argv):
    fitting = Fitting(argv)
    parser = options.Parser("train", "")
    parser.add_arguments(Output, dest="output")
    run, _ = options.parse_run(parser, argv, fitting.fit)
    return run, fitting


@pytest.fixture
def folder(tmp_path):
    """Forty images of 20 × 24 to 20 × 26 pixels."""
    for i in range(40):
        write_image(tmp_path / f"images/{i:02}.png", i, (20, 24 + i % 3))
    return f"folder:{tmp_path}/images"


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("method", [None, "moco", "byol", "swav"])
@pytest.mark.parametrize("images", [2, 16, 600, 5000, 50_000, 1_281_167])
def test_a_batch_is_at_most_an_eighth_and_the_steps_are_thousands(images, method, gpu):
    run = fitted(images, 64, gpu, method).run
    batch, epochs = run.training.batch_size, run.training.epochs
    assert batch <= max(2, images / 8)
    assert images < 600 or images // batch >= 5
    steps = epochs * (images // batch)
    assert images < 600 or steps >= 1000
    assert images > 600 or epochs <= 200
    assert run.model.method == (method or "simsiam")


def test_imagenets_recipe_is_for_as_many_images_and_a_gpu():
    paper = preset("imagenet")
    assert fitted(1_281_167, 400, True).run == paper.replace(data={"image_size": 224})
    for images, gpu in ((1_281_167, False), (100_000, True), (5000, False)):
        run = fitted(images, 400, gpu).run
        assert run.model.backbone == "resnet18"
        assert (run.model.width, run.data.image_size) == ((64, 224) if gpu else (16, 64))
    assert fitted(5000, 32, False).run.data.image_size == 32


def test_the_folder_decides_what_no_option_does(folder):
    run, fitting = parse("--dataset", folder)
    assert (run.training.batch_size, run.data.image_size) == (4, 20)
    assert run.data.dataset == folder
    lines = fitting.describe(run).splitlines()
    assert "40 images of about 20 pixels and a CPU" in lines[0]
    assert f"resnet18 of width 16, views of 20×20 pixels, {run.training.epochs} epochs" in lines[1]
    assert "min on this processor" in lines[2]
    run, _ = parse("--dataset", folder, "--batch-size", "8", "--epochs", "3", "--width", "32")
    assert (run.training.batch_size, run.training.epochs, run.model.width) == (8, 3, 32)
    run, fitting = parse("--dataset", folder, "--preset", "imagenet")
    assert (run.model.backbone, fitting.reason) == ("resnet50", None)
    assert parse("--dataset", "photo_patches")[0] == preset("photo_patches")


def test_a_packed_folder_gets_the_settings_of_the_folder(folder, tmp_path):
    path = str(tmp_path / "packed")
    pack(folder, path, Packing(shard_size=15))
    run, fitting = parse("--dataset", f"records:{path}")
    expected, of_folder = parse("--dataset", folder)
    assert run == expected.replace(data={"dataset": f"records:{path}"})
    assert fitting.reason == of_folder.reason
    for file in (tmp_path / "packed").glob("*.tfrecord"):  # which is for the run to say
        file.write_bytes(file.read_bytes()[:-9].replace(b"height", b"weight"))
    assert parse("--dataset", f"records:{path}")[0].data.image_size == 64
    assert parse("--dataset", f"records:{tmp_path}")[1].reason is None


def test_a_run_that_is_resumed_keeps_its_settings(folder, tmp_path):
    there = ["--run-dir", str(tmp_path / "runs"), "--name", "mine"]
    begun, _ = parse("--dataset", folder, "--epochs", "3")
    RunFolder(Output("mine", str(tmp_path / "runs")), folder).create(begun, {})
    for i in range(40, 200):
        write_image(tmp_path / f"images/{i}.png", i)
    assert parse("--dataset", folder, *there)[0] != begun
    assert parse("--dataset", folder, "--resume", *there)[0] == begun


def test_a_folder_without_images_is_left_to_be_refused_for_all_processes(tmp_path):
    for folder in (f"{tmp_path}/missing", tmp_path):
        run, fitting = parse("--dataset", f"folder:{folder}")
        assert fitting.reason is None
        with pytest.raises(InputError, match=r"does not exist|must contain images"):
            load_inputs(run)
