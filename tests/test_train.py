"""The training command, from its options to its files."""

import contextlib
import csv
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from helpers import LocalManySizes, LocalOneSize, write_image
from helpers.backbones import BACKBONES, TINY

from keras_simsiam import Run, load_encoder, options, train
from keras_simsiam.environment import processor
from keras_simsiam.metrics import METRICS
from keras_simsiam.training.callbacks import StopOnBadLoss
from keras_simsiam.training.checkpoints import Checkpoints

pytestmark = pytest.mark.usefixtures("tiny_backbones")  # the tests of whole processes have ResNets
SMALL = ("--width", "2", "--projector-dim", "16")
QUICK = (*SMALL, "--epochs", "2", "--batch-size", "600", "--knn-every", "0")  # 9 steps an epoch


def command(*argv):
    """Runs the command in this process; returns its exit code."""
    with pytest.raises(SystemExit) as caught:
        options.run_command(lambda _: train.main(argv))
    return caught.value.code


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def final_weights(folder):
    """The weights of the last checkpoint."""
    path = max((folder / "checkpoints").glob("step-*.keras"))
    return [w.numpy() for w in keras.models.load_model(path).weights]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, and what it printed."""
    cwd = tmp_path_factory.mktemp("finished")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.chdir(cwd)
        for name, backbone in TINY.items():
            patch.setitem(BACKBONES, name, backbone)
        assert command("--name", "first", *QUICK) == 0
    return cwd / "runs/first", printed.getvalue()


def test_a_run_first_describes_itself_and_last_prints_its_outcome(finished):
    folder, printed = finished
    before, _, after = printed.partition("epoch 1/2")
    for words in (
        "photo_patches, 5,400 training images, 1,080 test images, 18 classes",
        "resnet18 of width 2",
        "parameters",
        "18 steps in all",
        "learning rate 1.172 (0.5 × 600 / 256)",
        "seed 0",
        "CPU",
        "raw pixels 28.0%",
        "random weights",
    ):
        assert words in before
    s = summary(folder)
    assert f"\nfinished, epochs           {s['epochs']}\n" in after
    assert f"\nkNN top-1                  {s['knn_top1']:.1%}\n" in after
    assert f"\nkNN top-1, random weights  {s['knn_top1_random_weights']:.1%}\n" in after
    assert f"\nloss                       {s['loss']:.3f}\n" in after


def test_output_that_is_no_terminal_gets_one_line_per_epoch(finished):
    folder, printed = finished
    lines = [line for line in printed.splitlines() if line.startswith("epoch ")]
    assert [line.partition(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert f"loss {history(folder)[1]['loss']:.3f}, " in lines[0]
    assert f"kNN top-1 {summary(folder)['knn_top1']:.1%}, " in lines[1]
    assert lines[1].endswith(" minutes left 0.0")
    assert not set("\r\b\x1b") & set(printed)
    assert "ETA" not in printed
    assert "━" not in printed


@pytest.mark.slow
def test_a_terminal_gets_keras_progress_bar(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert command(*SMALL, "--epochs", "1", "--batch-size", "1800", "--knn-every", "0") == 0
    printed = capsys.readouterr().out
    assert "/step" in printed
    assert "minutes_left" in printed
    assert "epoch 1/1" not in printed


def test_a_run_writes_every_file_that_the_readme_lists(finished):
    folder, _ = finished
    names = {p.name for p in folder.iterdir()}
    assert {"config.yaml", "history.csv", "summary.json", "spectrum.csv"} <= names
    assert {"curves.png", "views.png", "spectrum.png"} <= names
    assert any((folder / "tensorboard").rglob("events.*"))
    checkpoints = sorted(p.name for p in (folder / "checkpoints").glob("*.keras"))
    assert checkpoints == ["best.keras", "step-00000009.keras", "step-00000018.keras"]
    s = summary(folder)
    promised = "loss z_std knn_top1 knn_top1_random_weights knn_top1_raw_pixels images_per_second"
    promised += " knn_top5 backbone_rank projector_rank epochs steps seconds seed saved_model"
    assert all(s[name] is not None for name in promised.split())
    assert (s["status"], s["epochs"], s["steps"], s["seed"]) == ("finished", 2, 18, 0)
    assert s["versions"]["keras"] == keras.__version__
    assert s["processor"] == processor()
    assert s["baseline_images"].endswith(" test images")
    rows = history(folder)
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert rows[0]["knn_top1"] == pytest.approx(s["knn_top1_random_weights"], abs=1e-4)
    assert rows[2]["knn_top1"] == pytest.approx(s["knn_top1"], abs=1e-4)
    assert rows[2]["loss"] < rows[1]["loss"] < 0
    encode = load_encoder(folder.parents[1] / s["saved_model"])
    assert encode.image_size == 32
    assert encode(np.zeros((2, 32, 32, 3), np.uint8)).shape == (2, 16)


def test_every_metric_of_a_run_is_in_the_table(finished):
    """Fails if something new is logged but its line was forgotten."""
    folder, _ = finished
    assert set(history(folder)[-1]) - {"epoch"} <= set(METRICS)


@pytest.mark.slow
def test_the_config_of_a_run_repeats_it(finished, tmp_path, monkeypatch):
    folder, _ = finished
    monkeypatch.chdir(tmp_path)
    assert command("--config", str(folder / "config.yaml"), "--name", "again") == 0
    again = tmp_path / "runs/again"
    assert Run.load(again / "config.yaml") == Run.load(folder / "config.yaml")
    for expected, found in zip(history(folder), history(again), strict=True):
        # Threads sum in a different order each time, which 18 steps hardly amplify.
        for name in ("loss", "z_std"):
            assert found.get(name, 0) == pytest.approx(expected.get(name, 0), abs=1e-3)


@pytest.mark.slow
def test_an_interrupted_run_writes_its_results_and_resumes_to_those_of_an_unbroken_one(
    finished, tmp_path, monkeypatch, capsys
):
    folder, _ = finished
    monkeypatch.chdir(tmp_path)
    broken = tmp_path / "runs/broken"

    def press_ctrl_c(self, batch, logs=None):
        if self.model.steps_done == 13:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StopOnBadLoss, "on_train_batch_end", press_ctrl_c)
        assert command("--name", "broken", *QUICK) == 130
    s = summary(broken)
    assert (s["status"], s["epochs"], s["steps"]) == ("interrupted", 1, 13)
    assert s["knn_top1"] is not None
    assert (broken / "curves.png").exists()
    assert pathlib.Path(s["saved_model"], "saved_model.pb").exists()

    assert command("--name", "broken", *QUICK) == 2  # never over a run
    assert summary(broken) == s
    assert command("--name", "broken", *QUICK, "--overwrite", "--resume") == 2
    assert command("--name", "broken", *QUICK, "--resume", "--learning-rate", "0.1") == 2
    assert "cannot resume: learning_rate was 0.5, now 0.1" in capsys.readouterr().err

    assert command("--name", "broken", *QUICK, "--resume") == 0
    assert summary(broken)["status"] == "finished"
    rows, expected = history(broken), history(folder)
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert rows[1]["loss"] == pytest.approx(expected[1]["loss"], abs=1e-3)
    for weight, unbroken in zip(final_weights(broken), final_weights(folder), strict=True):
        np.testing.assert_allclose(weight, unbroken, atol=5e-3)
    assert command("--name", "broken", *QUICK, "--resume") == 2
    assert "runs/broken' is finished" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_ends_a_run_cleanly(tmp_path):
    argv = [sys.executable, "-m", "keras_simsiam.train", *SMALL, "--epochs", "500", "--name", "x"]
    # A shell's "&" makes these tests ignore SIGINT, which their children would inherit.
    with subprocess.Popen(
        argv,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        deadline = time.monotonic() + 120
        while not any((tmp_path / "runs/x").glob("checkpoints/step*")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in printed
    assert summary(tmp_path / "runs/x")["status"] == "interrupted"
    assert "kNN top-1, random weights" in printed
    assert printed.count("\nkNN top-1  ") == 1


def test_a_run_that_diverges_keeps_the_checkpoint_before_that(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write = Checkpoints.on_epoch_end

    def spoil(self, epoch, logs=None):
        write(self, epoch, logs)
        self.model.predictor.weights[0].assign(np.full((16, 4), np.nan))

    monkeypatch.setattr(Checkpoints, "on_epoch_end", spoil)
    assert command("--name", "diverged", *QUICK) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "a gradient is not finite, first that of conv1/kernel, at step 10" in error
    assert "--learning-rate" in error
    folder = tmp_path / "runs/diverged"
    s = summary(folder)
    assert s["status"] == "diverged"
    assert s["steps"] == 9
    assert [p.name for p in (folder / "checkpoints").glob("step*.keras")] == ["step-00000009.keras"]
    assert all(np.isfinite(w).all() for w in final_weights(folder))
    assert (tmp_path / s["saved_model"]).exists()


@pytest.mark.slow
@pytest.mark.parametrize("labeled", [True, False])
def test_folder_of_images_of_many_sizes_trains_on_the_device(labeled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split, count in (("train", 8), ("val", 2)) if labeled else (("", 16),):
        for label in ("cat", "dog") if labeled else ("",):
            for i in range(count):
                path = tmp_path / "images" / split / label / f"{i}.jpg"
                write_image(path, i, (36 + i, 40 - i))
    argv = ("--dataset", f"folder:{tmp_path / 'images'}", "--name", "mine", "--augment-on")
    argv += ("device", "--image-size", "32", "--batch-size", "8", "--epochs", "1")
    # Without labels by FastSiam, with labels by multi-crop.
    argv += ("--small-views", "1") if labeled else ("--symmetry", "fastsiam", "--views", "3")
    assert command(*argv, *SMALL) == 0
    s = summary(tmp_path / "runs/mine")
    assert s["steps"] == 2
    assert (s["knn_top1"] is not None) == labeled


def test_tiny_imagenet_trains_from_its_archive(tiny_imagenet_zip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = ("--dataset", "tiny_imagenet", "--data-dir", str(tiny_imagenet_zip), "--epochs", "1")
    assert command(*argv, *SMALL, "--batch-size", "60") == 0
    assert summary(tmp_path / "runs/tiny_imagenet")["steps"] == 2
    assert Run.load(tmp_path / "runs/tiny_imagenet/config.yaml").augmentation.blur_probability > 0


@pytest.mark.slow
@pytest.mark.parametrize("dataset", [LocalOneSize, LocalManySizes])
def test_a_dataset_of_tensorflow_datasets_trains(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = f"tfds:{dataset.name}"
    argv = ("--dataset", name, "--data-dir", str(tmp_path / "data"), "--batch-size", "5")
    assert command(*argv, *SMALL, "--epochs", "1", "--image-size", "16") == 0
    s = summary(tmp_path / "runs" / name.replace(":", "-"))
    assert s["steps"] == 2
    assert s["knn_top1"] is not None


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--dataset", "mnits"], "dataset must be one of photo_patches, tiny_imagenet"),
        (
            ["--backbone", "vgg"],
            "backbone must be one of resnet18, resnet34, resnet50, keras:NAME, FILE.keras or "
            "MODULE:FUNCTION; got 'vgg'",
        ),
        (["--bakbone", "vgg"], "unknown option '--bakbone'; did you mean --backbone?"),
        (
            ["--batch-size", "5401"],
            "batch_size must be at most 5,400, the number of training images",
        ),
        (["--batch-size", "1"], "batch_size must be at least 2; got 1"),
        (["--dataset", "tiny_imagenet", "--data-dir", "nowhere"], "'nowhere' does not exist"),
        (["--dataset", "folder:nowhere"], "folder 'nowhere' does not exist"),
        (["--name", "../up"], "got '../up'"),
        (["--resume"], "cannot resume: 'runs/photo_patches' has no checkpoint"),
    ],
)
def test_invalid_input_is_one_line_that_names_it_and_nothing_is_written(
    argv, named, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert command(*argv) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert named in error
    assert "\n" not in error
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_default_run_beats_both_baselines_by_at_least_22_points(tmp_path):
    """README's first promise: it shows 26 to 32 points, over seeds and processors."""
    subprocess.run([sys.executable, "-m", "keras_simsiam.train"], cwd=tmp_path, check=True)
    s = summary(tmp_path / "runs/photo_patches")
    assert s["knn_top1"] > max(s["knn_top1_raw_pixels"], s["knn_top1_random_weights"]) + 0.22
    assert s["z_std"] > 0.95
    assert s["collapse"] is None
