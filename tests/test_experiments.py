"""What the experiments share, and what the report's departures do to a step."""

import functools
import json
import pathlib
import shutil
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import weights_of
from PIL import Image

from experiments import batch_size, collapse_floor, common, epochs, report, stop_gradient
from experiments.benchmarks import common as benchmarks
from experiments.benchmarks import knn
from keras_simsiam import SGD, InputError, TrainingDiverged
from keras_simsiam.presets import preset


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Runs that were trained, by a stand-in that only writes what a training would."""
    calls = []

    def train(run, output, prepare=None):
        calls.append((run.model.predictor, run.training.seed))
        folder = pathlib.Path(output.run_dir) / output.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "history.csv").write_text("epoch,loss\n1,-0.5\n")
        diverges = run.model.predictor == "fixed"
        summary = {
            "status": "diverged" if diverges else "finished",
            "versions": {"keras": "3"},
            "seconds": 30.0,
            "seed": run.training.seed,
            "knn_top1": None if diverges else 0.5 + run.training.seed / 10,
            "collapse": "it does" if run.model.predictor == "none" else None,
            "knn_top1_random_weights": 0.3,
            "knn_top1_raw_pixels": 0.2,
            "saved_model": "an export",
            **dict.fromkeys(("loss", "z_std", "projector_rank", "backbone_rank"), 0.5),
        }
        (folder / "summary.json").write_text(json.dumps(summary))
        if diverges:
            raise TrainingDiverged("the loss became nan")
        return summary

    monkeypatch.setattr(common, "train", train)
    monkeypatch.setattr(common, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(common, "HERE", tmp_path)
    (tmp_path / "figures").mkdir()
    return calls


VARIANTS = [
    common.Variant("default", {}, "68.1"),
    common.Variant("fixed", {"model": {"predictor": "fixed"}}),
    common.Variant("none", {"model": {"predictor": "none"}}),
]


def test_each_run_is_done_once_and_shared_by_its_settings(trained):
    base = preset("photo_patches")
    common.run_all(base, VARIANTS[:1], [0, 1])
    assert trained == [("mlp", 0), ("mlp", 1)]
    rows = common.run_all(base, [VARIANTS[0], VARIANTS[2]], [0, 1])
    assert trained[2:] == [("none", 0), ("none", 1)]
    assert [r["variant"] for r in rows] == ["default", "default", "none", "none"]


def test_an_interrupted_run_is_done_again(trained, tmp_path):
    base = preset("photo_patches")
    common.run_all(base, VARIANTS[:1], [0])
    (path,) = (tmp_path / "runs").glob("*/summary.json")
    path.write_text(json.dumps({"status": "interrupted"}))
    common.run_all(base, VARIANTS[:1], [0])
    assert len(trained) == 2


def test_table_shows_means_ranges_collapse_and_divergence(trained, tmp_path, capsys):
    common.compare("Compares.", "predictor", VARIANTS, ["--seeds", "0", "1"])
    printed = capsys.readouterr().out
    assert (
        "| default | 0.500 | 0.50 | 0.5 | 0.5 | 55.0% (50.0% to 60.0%) | silent | 68.1 |" in printed
    )
    assert "| fixed | 0.500 | 0.50 | 0.5 | 0.5 | - | silent, 2 diverged | - |" in printed
    assert "| none | 0.500 | 0.50 | 0.5 | 0.5 | 55.0% (50.0% to 60.0%) | 2 of 2 | - |" in printed
    assert "| *random weights* | | | | | 30.0% | | |" in printed
    rows = (tmp_path / "results/predictor_photo_patches.csv").read_text().splitlines()
    assert len(rows) == 7
    assert (tmp_path / "figures/predictor_photo_patches.png").exists()


def test_cited_numbers_stand_under_the_measured_ones(trained, capsys):
    stop_gradient.main(["--seeds", "0"])
    printed = capsys.readouterr().out
    assert "| *the report, without* | -0.875 | | | | | | |" in printed
    assert "| *the paper, without* | -1 | 0 | | | chance | | 0.1 |" in printed


def test_batches_scale_the_rate_and_the_largest_warm_up(trained, tmp_path):
    variants = {f"batch {b}": batch_size.variant(b, 100) for b in batch_size.SIZES}
    assert variants["batch 256"].changes["training"] == {"batch_size": 256, "warmup_epochs": 0}
    assert variants["batch 1024"].changes["training"] == {"batch_size": 1024, "warmup_epochs": 10}
    batch_size.main(["--seeds", "0"])
    assert len(trained) == len(batch_size.SIZES)
    assert (tmp_path / "figures/batch_size_photo_patches.png").exists()


def test_epochs_are_compared_by_linear_accuracy_too_which_is_kept(
    trained, tmp_path, monkeypatch, capsys
):
    evaluated = []

    def load_encoder(path):
        return "encoder", 32

    def linear(encoder, size, dataset, data_dir):
        evaluated.append(encoder)
        return 0.6 if encoder == "encoder" else 0.25

    monkeypatch.setattr(epochs, "load_encoder", load_encoder)
    monkeypatch.setattr(epochs, "_linear", linear)
    for _ in range(2):
        epochs.main(["--seeds", "0", "--epochs", "8"])
    assert evaluated.count("encoder") == 4
    printed = capsys.readouterr().out
    assert "| 8 epochs | 0.500 | 0.50 | 0.5 | 0.5 | 50.0% | 60.0% | silent | - |" in printed
    assert "| *random weights* | | | | | 30.0% | 25.0% | | |" in printed
    assert (tmp_path / "figures/epochs_photo_patches.png").exists()


@pytest.fixture
def page(trained, tmp_path):
    """The report of one experiment."""
    common.compare("Compares predictors.", "predictor", VARIANTS, ["--seeds", "0", "1"])
    report.main(["--output", str(tmp_path / "report.html")])
    return tmp_path / "report.html"


def test_report_is_one_page_with_all_that_it_shows(page):
    text = page.read_text()
    for words in (
        "<h2>Compares predictors (photo_patches)</h2>",
        "<td>55.0% (50.0% to 60.0%)</td>",
        "<td>random weights</td>",
        "data:image/png;base64,",
        "seeds 0, 1",
        "keras 3",
        "learning_rate: 0.5",
        "<td>2 of 2</td>",
    ):
        assert words in text
    assert "http" not in text
    assert "src=" not in text.replace('src="data:', "")


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
@pytest.mark.parametrize("width", [1280, 500])
def test_report_is_drawn_by_a_browser_wide_and_narrow(width, page, tmp_path):
    picture = tmp_path / "page.png"
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync"
    subprocess.run(
        [
            "chromium",
            *flags.split(),
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},1600",
            f"--screenshot={picture}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    assert pixels.shape[1] == width
    blue = (np.abs(pixels.astype(int) - (0x66, 0xAA, 0xD1)).max(axis=2) < 12).mean()
    assert blue > 0.005  # the bars of the figure
    assert (pixels.max(axis=2) < 100).mean() > 0.005  # text


def test_without_results_the_report_says_what_to_run(monkeypatch, tmp_path):
    monkeypatch.setattr(common, "HERE", tmp_path)
    with pytest.raises(InputError, match=r"python -m experiments\."):
        report.main(["--output", str(tmp_path / "report.html")])
    assert not any(tmp_path.iterdir())


def test_gradients_that_are_never_zeroed_add_up():
    (weight,) = weights_of([1.0])
    optimizer = collapse_floor._summing(SGD(0.1, momentum=0.0))
    optimizer.build([weight])
    for gradient in ([1.0], [2.0], [3.0]):
        optimizer.apply_gradients([(tf.constant(gradient), weight)])
    np.testing.assert_allclose(weight.numpy(), [1 - 0.1 * (1 + 3 + 6)], atol=1e-6)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert type(again).__name__ == "Summing"


@pytest.mark.parametrize("batch", collapse_floor.BATCHES)
def test_batches_are_compared_at_the_same_steps_and_the_same_rate(batch):
    training = collapse_floor.without_stop_gradient(batch, 5400)["training"]
    steps = training["epochs"] * (5400 // batch)
    assert abs(steps - collapse_floor.STEPS) <= 0.3 * collapse_floor.STEPS
    assert training["learning_rate"] * batch / 256 == pytest.approx(collapse_floor.RATE)


def test_benchmarks_take_turns_and_give_ratios_first(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(benchmarks, "HERE", tmp_path)
    (tmp_path / "figures").mkdir()
    order = []

    def rival(name, values):
        values = iter(values)
        return lambda: (order.append(name), next(values))[1]

    found = benchmarks.paired({"a": rival("a", [10, 30, 20]), "b": rival("b", [60, 30, 40])}, 3)
    assert order == ["a", "b"] * 3
    benchmarks.report("speed", "how fast", "images/s", found)
    assert "| b | 2.00 | 40 | 30 to 60 |" in capsys.readouterr().out
    written = json.loads((tmp_path / "results/benchmarks/speed.json").read_text())
    assert written["results"]["b"]["ratio"] == 2
    assert (tmp_path / "figures/benchmark_speed.png").exists()


def test_a_rival_is_measured_in_a_process_of_its_own_again_and_again():
    makers = {"ours": functools.partial(knn.ours, 300, 20, 8, 5)}
    with benchmarks.processes(makers, seconds=0) as rivals:
        assert min(rivals["ours"](), rivals["ours"]()) > 0
        assert rivals["ours"].start > 0
        assert 100 < rivals["ours"].memory < 4000  # MiB, with TensorFlow in it
