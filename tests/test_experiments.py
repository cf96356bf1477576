"""The experiments, ablations over seeds: their tables, files and figures, and the report."""

import csv
import functools
import importlib
import json
import pathlib
import re
import shutil
import subprocess
from unittest.mock import Mock

import numpy as np
import pytest
import yaml
from helpers import sweep as fake
from PIL import Image

from experiments import (
    collapse_floor,
    common,
    costs,
    epochs,
    linear,
    methods,
    report,
    stop_gradient,
)
from experiments.benchmarks import common as benchmarks
from experiments.benchmarks import knn, losses
from experiments.claims import CLAIMS
from keras_simsiam import InputError, presets
from keras_simsiam.environment import processor
from keras_simsiam.method_options import METHOD_OPTIONS
from keras_simsiam.training import inputs
from keras_simsiam.tuning import sweeps, tuner

RESULTS = pathlib.Path(__file__).parents[1] / "experiments/results"


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """The runs that were trained, by a stand-in that only writes what a training would."""
    runs = []

    def train(run, output, devices=None):
        runs.append(run)
        return fake.train(run, output)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tuner, "train", train)
    monkeypatch.setattr(inputs, "load_inputs", lambda run: Mock(monitor=True, fingerprints={}))
    monkeypatch.setattr(sweeps, "count_images", lambda run: 5400)
    monkeypatch.setattr(common, "HERE", tmp_path)
    (tmp_path / "figures").mkdir()
    return runs


def results(tmp_path, name):
    with (tmp_path / f"results/{name}_photo_patches.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_experiment_trains_every_variant_with_every_seed_once(trained, tmp_path):
    for _ in range(2):
        assert common.compare("predictor", "Compares.", ["--seeds", "0", "2"]) == 0
    assert [(r.model.predictor, r.training.predictor_decay, r.training.seed) for r in trained] == [
        *[("mlp", False, 0), ("mlp", False, 2), ("mlp", True, 0), ("mlp", True, 2)],
        *[("fixed", False, 0), ("fixed", False, 2), ("none", False, 0), ("none", False, 2)],
    ]
    assert {(r.model.width, r.training.epochs) for r in trained} == {(16, 8)}
    assert (tmp_path / "figures/predictor_photo_patches.png").exists()


@pytest.mark.parametrize("changed", [["--epochs", "4"], ["--seeds", "1"], ["--scale", "full"]])
def test_other_options_are_another_experiment(trained, changed):
    common.compare("similarity", "Compares.", ["--seeds", "0"])
    common.compare("similarity", "Compares.", ["--seeds", "0", *changed])
    assert len(trained) == 4


def test_a_run_that_another_experiment_has_trained_is_taken_from_there(trained, tmp_path):
    common.compare("similarity", "Compares.", ["--seeds", "0", "1"])
    (config,) = tmp_path.glob("runs/experiments/similarity-*/runs/0001/config.yaml")
    config.write_text("of: another version")
    common.compare("symmetry", "Compares.", ["--seeds", "0", "1"])
    rows = {(r["variant"], r["seed"]): r for r in results(tmp_path, "symmetry")}
    assert [(r.model.similarity, r.model.symmetry, r.training.seed) for r in trained[4:]] == [
        *[("cosine", "symmetric", 1), ("cosine", "asymmetric", 0), ("cosine", "asymmetric", 1)],
        *[("cosine", "two_pairs", 0), ("cosine", "two_pairs", 1)],
    ]
    assert rows["symmetric", "0"] == results(tmp_path, "similarity")[0] | {
        "variant": "symmetric",
        "paper": "68.1",
    }
    copied = next(tmp_path.glob("runs/experiments/symmetry-*/saved_models/0000"))
    assert (copied / "saved_model.pb").exists()


def test_an_interrupted_experiment_continues(trained, monkeypatch):
    train = tuner.train

    def interrupted(run, output, devices=None):
        if run.model.predictor == "fixed":
            raise KeyboardInterrupt
        return train(run, output)

    monkeypatch.setattr(tuner, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        common.compare("predictor", "Compares.", ["--seeds", "0"])
    assert len(trained) == 2
    monkeypatch.setattr(tuner, "train", train)
    common.compare("predictor", "Compares.", ["--seeds", "0"])
    assert [r.model.predictor for r in trained[2:]] == ["fixed", "none"]


def test_the_table_shows_means_ranges_collapse_and_the_papers_figures(trained, capsys):
    common.compare("predictor", "Compares.", ["--seeds", "0", "2"])
    printed = capsys.readouterr().out
    measured = "-0.074 (-0.084 to -0.064) | 0.90 | 7.4% (6.4% to 8.4%) | 30.0 | 20.0 | 90"
    assert f"| rate decayed | {measured} | finished | 67.7 |" in printed
    collapsed = "-0.010 | 0.90 | 1.0% | 30.0 | 20.0 | 90 | 2 of 2 collapsed"
    assert f"| none | {collapsed} | 0.1 |" in printed
    assert "| *random weights* | | | 5.0% | | | | | |" in printed


def test_results_have_the_format_of_the_committed_ones(trained, tmp_path):
    common.compare("batch_norm", "Compares.", ["--seeds", "0", "2"])
    rows = results(tmp_path, "batch_norm")
    with (RESULTS / "batch_norm_photo_patches.csv").open(newline="") as file:
        committed = list(csv.DictReader(file))
    assert set(rows[0]) == set(committed[0])
    assert [row["seed"] for row in rows] == ["0", "2"] * 4
    assert (rows[-1]["variant"], rows[-1]["paper"]) == ("none", "34.6")
    assert (rows[0]["steps"], rows[0]["seconds"]) == ("7", "90.0")
    about = yaml.safe_load((tmp_path / "results/batch_norm_photo_patches.yaml").read_text())
    before = yaml.safe_load((RESULTS / "batch_norm_photo_patches.yaml").read_text())
    assert set(before) == set(about) - {"processor"}
    assert about["processor"] == "a processor, 2 cores"
    assert about["minutes"] == 8 * 1.5
    assert "data_dir" not in about["configuration"]["data"]


def test_diverged_runs_are_said_and_left_out_of_the_mean(trained, monkeypatch, tmp_path, capsys):
    def train(run, output, devices=None):
        diverges = run.model.similarity == "cross_entropy" and run.training.seed
        changed = {"batch_size": 997} if diverges else {}
        return fake.train(run.replace(training=changed), output)

    monkeypatch.setattr(tuner, "train", train)
    common.compare("similarity", "Compares.", ["--seeds", "0", "1", "2"])
    cells = "-0.064 | 0.90 | 6.4% | 30.0 | 20.0"
    assert f"| cross_entropy | {cells} |" in capsys.readouterr().out.replace(" (0 to 90)", "")
    rows = results(tmp_path, "similarity")[3:]
    assert [row["status"] for row in rows] == ["finished", "diverged", "diverged"]
    assert [row["knn_top1"] for row in rows[1:]] == ["", ""]
    (_, line) = common.read(tmp_path / "results/similarity_photo_patches.csv")
    assert line.status == "2 of 3 diverged"


def test_cited_numbers_are_below_the_measured_ones(trained, tmp_path, capsys):
    stop_gradient.main(["--seeds", "0"])
    printed = capsys.readouterr().out
    assert "| *the report, without* | -0.875 | | | | | | | |" in printed
    assert "| *the paper, without* | -1 | 0 | chance | | | | | 0.1 |" in printed
    assert (tmp_path / "figures/stop_gradient_photo_patches.png").exists()


def test_batch_sizes_are_drawn_as_a_line(trained, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("keras_simsiam.plots.metric_over", lambda *args: drawn.append(args))
    common.compare("batch_size", "Compares.", ["--seeds", "0"])
    label, series, path, *_ = drawn[-1]
    assert label == "batch size"
    assert list(series["knn_top1"]) == [16, 32, 64, 128, 256, 512, 1024]
    assert path == tmp_path / "figures/batch_size_photo_patches.png"


def test_the_collapse_floor_has_a_table_of_batches_and_one_of_departures(trained, tmp_path):
    collapse_floor.main(["--seeds", "0"])
    assert len(trained) == 9
    batches = results(tmp_path, "collapse_floor_batch")
    assert [row["variant"] for row in batches] == [f"batch {b}" for b in (16, 32, 64, 128, 256)]
    departures = results(tmp_path, "collapse_floor_departures")
    assert [row["variant"] for row in departures] == [
        *("batch 64", "batch 16", "gradients never zeroed", "D(p1, z2) twice", "Adam 4e-4"),
        "all four",
    ]
    assert {row["collapse"] for row in batches + departures} == {"yes"}
    assert (tmp_path / "figures/collapse_floor_batch_photo_patches.png").exists()


def test_lengths_are_compared_by_linear_accuracy_too_which_is_measured_once(
    trained, tmp_path, monkeypatch, capsys
):
    measured = []

    def accuracy(*encoder_and_run):
        measured.append(encoder_and_run[0])
        return 0.6

    baselines = {"linear_top1_random_weights": 0.5, "linear_top1_raw_pixels": 0.25}
    monkeypatch.setattr(linear, "load_encoder", lambda path: path)
    monkeypatch.setattr(linear, "accuracy", accuracy)
    monkeypatch.setattr(linear, "baselines", lambda base, seed: baselines)
    for _ in range(2):
        epochs.main(["--seeds", "0", "--epochs", "8"])
    assert [path.name for path in measured] == ["0000", "0001", "0002", "0003"]
    printed = capsys.readouterr().out
    assert (
        "| epochs 8 | -0.064 | 0.90 | 6.4% | 30.0 | 20.0 | 60.0% | 90 | finished | - |" in printed
    )
    assert "| *random weights* | | | 5.0% | | | 50.0% | | | |" in printed
    assert results(tmp_path, "epochs")[0]["linear_top1_raw_pixels"] == "0.25"
    assert (tmp_path / "figures/epochs_photo_patches.png").exists()


def test_methods_are_a_line_each_and_a_step_of_each_is_measured_once(
    trained, tmp_path, monkeypatch, capsys
):
    steps, drawn = [], []

    def measure(runs):
        steps.extend(runs)
        return {label: {"step_ms": 12.0, "step_memory": 700.0} for label in runs}

    monkeypatch.setattr(linear, "add", lambda found: None)
    monkeypatch.setattr(costs, "_measure", measure)
    monkeypatch.setattr("keras_simsiam.plots.compared_over", lambda *args: drawn.append(args))
    for trials in ("11", "24"):
        methods.main(["--seeds", "0", "--trials", trials, "--costs"])
    assert len(trained) == 24
    compared = ["simsiam", "fastsiam", *(m for m in METHOD_OPTIONS if m != "simsiam")]
    assert steps == [f"{method}, 8 epochs" for method in compared]
    assert [run.model.view_count for run in trained[:3]] == [2, 4, 2]
    assert list(drawn[0][2]["byol"]) == [8, 16]
    assert {method: list(lengths) for method, lengths in drawn[-1][2].items()} == {
        method: [8, 16, 32] for method in compared
    }
    printed = capsys.readouterr().out
    assert "| 30.0 | 20.0 | 12 | 700 | 90 | finished | 71.3 |" in printed
    assert results(tmp_path, "methods")[-1]["step_memory"] == "700.0"


def test_methods_take_the_rates_of_a_search_and_lengths_of_their_own(
    trained, tmp_path, monkeypatch
):
    monkeypatch.setattr(linear, "add", lambda found: None)
    (tmp_path / "results.csv").write_text(
        "method,training.learning_rate,model.temperature,status,knn_top1\n"
        "byol,4.0,,diverged,0.9\nmoco,0.125,0.2,finished,0.5\nmoco,0.5,0.1,finished,0.4\n"
        "byol,1.0,,finished,0.3\n"
    )
    methods.main(["--seeds", "0", "--lengths", "20", "--search", str(tmp_path)])
    runs = {run.model.method: run for run in trained if run.model.symmetry != "fastsiam"}
    assert {run.training.epochs for run in trained} == {20}
    assert (runs["moco"].training.learning_rate, runs["moco"].model.temperature) == (0.125, 0.2)
    assert runs["byol"].training.learning_rate == 1.0
    assert runs["swav"].training.learning_rate == 0.125  # that of the search on photo_patches
    with pytest.raises(InputError, match=r"'nowhere/results\.csv'"):
        methods.main(["--search", "nowhere"])
    (tmp_path / "results.csv").write_text("predictor,status,knn_top1\nmlp,finished,0.5\n")
    with pytest.raises(InputError, match="must be a sweep of tune methods"):
        methods.main(["--search", str(tmp_path)])


def test_the_stop_gradients_runs_without_it_may_be_shorter_and_stand_beside_the_reports(
    trained, tmp_path, monkeypatch
):
    drawn = []
    monkeypatch.setattr("keras_simsiam.plots.compared_curves", lambda *args: drawn.append(args))
    options = "--preset report --backbone resnet18 --width 16 --image-size 64 --seeds 0 --epochs 50"
    stop_gradient.main(["--dataset", "tiny_imagenet", *options.split(), "--epochs-without", "8"])
    with_it, without = trained
    assert (with_it.training.epochs, without.training.epochs) == (50, 8)
    assert (with_it.model.stop_gradient, without.model.stop_gradient) == (True, False)
    report = presets.preset("report")
    assert without.replace(
        data={"data_dir": None, "image_size": 224},
        model={"backbone": "resnet50", "width": 64, "stop_gradient": True},
        training={"epochs": 50},
    ) == report.replace(data={"dataset": "tiny_imagenet"})
    curves = drawn[0][0]
    assert [len(curves[f"the report, {kind}"][0]) for kind in ("with", "without")] == [50, 50]
    assert curves["the report, without"][0][-1] == {"epoch": 50, "loss": -0.874583}
    name = "stop_gradient_tiny_imagenet_report_resnet18_16_64"
    assert drawn[0][1] == tmp_path / f"figures/{name}.png"
    stop_gradient.main(["--seeds", "0", "--only", "without"])
    assert [run.model.stop_gradient for run in trained[2:]] == [False]
    assert (tmp_path / f"results/{name}.csv").exists()


@pytest.mark.parametrize("name", sweeps.ABLATIONS)
def test_every_ablation_is_an_experiment_and_a_sweep_of_tune(name):
    assert importlib.import_module(f"experiments.{name}").__doc__
    assert name in sweeps.SWEEPS


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "variant,paper,status,collapse,seed\nx,,,,y\n"])
def test_a_results_file_that_is_none_is_named(content, tmp_path):
    (tmp_path / "results.csv").write_text(content)
    with pytest.raises(InputError, match=r"results\.csv' is not a table of results") as caught:
        common.read(tmp_path / "results.csv")
    assert "\n" not in str(caught.value)


@pytest.fixture
def page(trained, tmp_path):
    """The report of one experiment."""
    common.compare("predictor", "Compares predictors.", ["--seeds", "0", "2"])
    report.main(["--output", str(tmp_path / "report.html")])
    return tmp_path / "report.html"


def test_report_is_one_page_with_all_that_it_shows(page):
    text = page.read_text()
    for words in (
        "<h3>Compares predictors (predictor_photo_patches)</h3>",
        "none: 2 of 2 collapsed, although the stop-gradient was there.",
        "<pre>python -m experiments.transfer</pre>",
        "<td>7.4% (6.4% to 8.4%)</td>",
        "<td>random weights</td>",
        "data:image/png;base64,",
        "seeds 0, 2",
        "keras 3",
        "a processor, 2 cores",
        "learning_rate: 0.5",
        "<td>2 of 2 collapsed</td>",
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


def test_the_report_shows_the_committed_results(tmp_path):
    report.main(["--output", str(tmp_path / "report.html")])
    text = (tmp_path / "report.html").read_text()
    for words in (
        # stop_gradient, predictor, collapse_floor and Tiny ImageNet, as experiments/README.md
        "<td>53.9% (51.3% to 55.6%)</td>",
        "<td>37.1% (34.9% to 39.3%)</td>",
        "<td>-0.916 (-0.926 to -0.908)</td>",
        "<td>20.1%</td>",
        "<td>3 of 3 warned of collapse</td>",
        "<td>67.7 ± 0.1</td>",
        "batches of 16 at -0.916",
    ):
        assert words in text
    assert text.count('alt="stop_gradient_tiny_imagenet"') == 1
    assert len(re.findall('<section id="claim[0-9]+">', text)) == len(CLAIMS)


def test_without_results_the_report_says_what_to_run(monkeypatch, tmp_path):
    monkeypatch.setattr(common, "HERE", tmp_path)
    with pytest.raises(InputError, match=r"python -m experiments\."):
        report.main(["--output", str(tmp_path / "report.html")])
    assert not any(tmp_path.iterdir())


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
    assert "| b | 2.00 | 1.00 to 6.00 | 40 | 30 to 60 |" in capsys.readouterr().out
    written = json.loads((tmp_path / "results/benchmarks/speed.json").read_text())
    assert written["results"]["b"]["ratio"] == 2
    assert written["processor"] == processor()
    assert "keras" in written["versions"]
    assert (tmp_path / "figures/benchmark_speed.png").exists()


@pytest.mark.parametrize("name", losses.LOSSES)
def test_each_loss_of_the_benchmark_is_computed(name):
    assert losses.ours(name, 4, 16)() == 1


def test_a_rival_is_measured_in_a_process_of_its_own_again_and_again():
    makers = {"ours": functools.partial(knn.ours, 300, 20, 8, 5)}
    with benchmarks.processes(makers, seconds=0) as rivals:
        assert min(rivals["ours"](), rivals["ours"]()) > 0
        assert rivals["ours"].start > 0
        assert 100 < rivals["ours"].memory < 4000  # MiB, with TensorFlow in it
