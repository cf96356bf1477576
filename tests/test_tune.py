"""Sweeps: what is searched, what is written, and what survives failures and kills."""

import csv
import dataclasses
import errno
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from unittest.mock import Mock

import pytest
import tensorflow as tf
import yaml
from helpers import sweep as fake
from helpers import write_image

from keras_simsiam import Run, load_encoder, options, tune
from keras_simsiam.errors import CannotWrite, InputError, Terminated
from keras_simsiam.files import claimed
from keras_simsiam.training import inputs
from keras_simsiam.tuning import oracles, results, tuner
from keras_simsiam.tuning.ledger import Ledger

ROOT = pathlib.Path(__file__).parents[1]
DRIVER = ROOT / "tests/helpers/sweep.py"
BATCHES = {"training.batch_size": [100, 300, 200]}


@pytest.fixture
def sweep(monkeypatch, tmp_path):
    """Runs the command on stand-ins for training; gives its exit code and its folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tuner, "train", fake.train)
    load_inputs = inputs.load_inputs

    def load_others(run):
        """Not the photos, which would take a second or two each time."""
        photos = run.data.dataset == "photo_patches"
        return Mock(monitor=True, fingerprints={}) if photos else load_inputs(run)

    monkeypatch.setattr(inputs, "load_inputs", load_others)

    def run(spec, *argv):
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
        with pytest.raises(SystemExit) as caught:
            options.run_command(lambda _: tune.main(["mine.yaml", "--name", "mine", *argv]))
        return caught.value.code, tmp_path / "runs/sweeps/mine"

    return run


def rows(folder):
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def entries(folder):
    """The ledger, by trial."""
    return {e.number: e for e in Ledger(folder / "trials").entries()}


def test_sweep_ends_with_its_table_figure_settings_and_encoder(sweep, tmp_path, capsys):
    code, folder = sweep(BATCHES)
    assert code == 0
    printed = capsys.readouterr().out
    assert "3 trials, by kNN top-1 accuracy, seed 0" in printed
    assert "trial 2 of 3: training.batch_size 300" in printed
    assert "best so far: kNN top-1 30.0%, trial 2" in printed
    assert "| 2 | 300 | -0.300 | 0.90 | 30.0% | 30.0 | 20.0 | 90 | finished | - |" in printed
    assert "| *random weights* | | | | 5.0% |" in printed
    assert [row["trial"] for row in rows(folder)] == ["2", "3", "1"]
    assert (folder / "results.png").exists()
    assert Run.load(folder / "best.yaml").training.batch_size == 300
    assert (tmp_path / "saved_models/mine/saved_model.pb").read_text() == "0001"


def test_a_line_for_each_trial_says_its_outcome_and_the_time_left(sweep, capsys):
    sweep(BATCHES)
    printed = capsys.readouterr().out
    shown = "loss -0.100, z_std 0.90, kNN top-1 10.0%, rank of features 30.0, rank of z 20.0"
    best = "best so far: kNN top-1 10.0%, trial 1"
    assert f"  {shown}, seconds 90\n  {best}; about 3 min left\n" in printed
    # Two trials of a minute and a half are left after the first, one after the second.
    assert re.findall(r"about (\d+) min left", printed) == ["3", "2"]
    assert not set("\r\b\x1b") & set(printed)  # nothing is redrawn


def test_seeds_are_one_line_of_their_mean_and_range(sweep, tmp_path, capsys):
    code, folder = sweep({"training.batch_size": [300, 400, 999]}, "--seeds", "0", "5")
    assert code == 0
    printed = capsys.readouterr().out
    assert "6 trials, by kNN top-1 accuracy, seeds 0, 5" in printed
    best, second, failed = printed.split("|---|\n")[1].splitlines()[:3]
    assert best.startswith(
        "| 3, 4 | 400 | -0.425 (-0.450 to -0.400) | 0.90 | 42.5% (40.0% to 45.0%)"
    )
    assert second.startswith("| 1, 2 | 300 |")
    assert re.fullmatch(r"\| 5, 6 \| 999 (\| - ){5}\| [^|]+ \| 2 of 2 failed \| - \|", failed)
    assert [(row["trial"], row["training.seed"]) for row in rows(folder)][:2] == [
        ("3", "0"),
        ("4", "5"),
    ]
    assert "best: trial 4, kNN top-1 45.0%" in printed
    assert Run.load(folder / "best.yaml").training.seed == 5


def test_the_best_is_of_the_best_mean_and_not_the_luckiest_seed(sweep, monkeypatch):
    accuracies = {(100, 0): 0.9, (100, 1): 0.1, (300, 0): 0.6, (300, 1): 0.7}

    def train(run, output, devices=None):
        t = run.training
        outcome = fake.train(run, output)
        measured = {**outcome.metrics, "knn_top1": accuracies[t.batch_size, t.seed]}
        return dataclasses.replace(outcome, metrics=measured)

    monkeypatch.setattr(tuner, "train", train)
    _, folder = sweep({"training.batch_size": [100, 300]}, "--seeds", "0", "1")
    best = Run.load(folder / "best.yaml").training
    assert (best.batch_size, best.seed) == (300, 1)


def test_started_again_it_runs_no_trial_twice_and_goes_on_with_more(sweep, capsys):
    code, folder = sweep(BATCHES, "--max-trials", "2")
    first = rows(folder)
    assert code == 0
    capsys.readouterr()
    code, _ = sweep(BATCHES, "--max-trials", "2")
    assert code == 0
    assert "trial 1 of" not in capsys.readouterr().out
    assert rows(folder) == first
    code, _ = sweep(BATCHES)
    assert "trial 3 of 3" in capsys.readouterr().out
    assert [e.attempts for e in entries(folder).values()] == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (({"training.batch_size": [100]},), "its sweep was {"),
        ((BATCHES, "--tuner", "random"), "its tuner was auto, now random"),
        ((BATCHES, "--epochs", "3"), "epochs was 20, now 3"),
    ],
)
def test_another_sweep_of_the_same_name_is_refused_and_nothing_changes(
    sweep, change, named, capsys
):
    _, folder = sweep(BATCHES)
    before = rows(folder)
    capsys.readouterr()
    code, _ = sweep(*change)
    assert code == 2
    assert named in capsys.readouterr().err
    assert rows(folder) == before
    code, _ = sweep(*change, "--overwrite")
    assert code == 0


def test_failed_and_collapsed_trials_are_recorded_with_their_cause_and_end_nothing(sweep, capsys):
    spec = {
        "training.batch_size": [999, 200, 100],
        "model.predictor": ["mlp", "none"],
    }
    code, folder = sweep(spec)
    assert code == 0
    found = entries(folder)
    assert [found[i].status for i in range(6)] == [
        *["failed"] * 2,
        *["finished", "collapsed"] * 2,
    ]
    assert found[0].cause == "out of memory: OOM when allocating tensor"
    assert found[3].cause == "z is collapsing"
    assert found[0].metrics["seconds"] < 5
    table = capsys.readouterr().out
    assert "failed: out of memory: OOM when allocating tensor" in table
    # A collapsed trial is never the best.
    assert Run.load(folder / "best.yaml").model.predictor == "mlp"
    assert "ResourceExhaustedError" in (folder / "trials/0000.log").read_text()


def test_more_failures_in_a_row_than_keras_tuner_allows_end_nothing(sweep):
    code, folder = sweep({"training.batch_size": [999, 100], "training.seed": [1, 2, 3, 4, 5]})
    assert code == 0
    assert [e.status for _, e in sorted(entries(folder).items())] == [
        *["failed"] * 5,
        *["finished"] * 5,
    ]


@pytest.mark.parametrize("spec", [{"training.batch_size": [999]}, {"model.predictor": ["none"]}])
def test_a_sweep_in_which_everything_fails_says_so_and_exits_non_zero(sweep, spec, capsys):
    code, folder = sweep({**spec, "training.seed": [1, 2]})
    assert code == 1
    assert "none of 2 trials succeeded: " in capsys.readouterr().out
    assert not (folder / "best.yaml").exists()


def test_the_readmes_own_sweep_runs(sweep):
    shown = (
        (ROOT / "keras_simsiam/tuning/README.md").read_text().split("```yaml\n")[1].split("```")[0]
    )
    code, folder = sweep(yaml.safe_load(shown), "--max-trials", "8")
    assert code == 0
    runs = [Run.load(p) for p in folder.glob("runs/*/config.yaml")]
    assert {r.augmentation.crop_area for r in runs} == {(0.5, 1.0), (0.08, 1.0)}
    gentle = [r.augmentation for r in runs if r.augmentation.hue == 0.05]
    # Blur counts beside harsh views only.
    assert {a.blur_probability for a in gentle} == {0.0}
    assert len({r.training.learning_rate for r in runs}) == len(runs)


def test_ctrl_c_ends_the_sweep_which_goes_on_when_started_again(sweep, monkeypatch, capsys):
    code, folder = sweep({"training.batch_size": [100, 998]})
    assert code == 130
    assert entries(folder)[0].status == "finished"
    monkeypatch.setattr(tuner, "train", lambda run, out, **_: fake.train(Run(), out))
    code, _ = sweep({"training.batch_size": [100, 998]})
    assert code == 0
    assert entries(folder)[1].status == "finished"


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        ("preempted", 0, "preempted: a checkpoint of step 7 is saved; the same command continues"),
        ("interrupted", 130, "interrupted: a checkpoint of step 7 is saved; the same command"),
        (Terminated(signal.SIGTERM, "--resume"), 0, "terminated; the same command continues"),
        (Terminated(signal.SIGHUP), 0, "terminated; the same command continues"),
    ],
)
def test_a_signal_ends_the_sweep_as_it_ends_a_run(sweep, monkeypatch, capsys, status, code, said):
    def train(run, output, devices=None):
        if isinstance(status, Terminated):
            raise status
        return dataclasses.replace(fake.train(run, output), status=status)

    monkeypatch.setattr(tuner, "train", train)
    ended, folder = sweep({"training.batch_size": [100]})
    assert ended == code
    printed = capsys.readouterr().err.strip()
    assert printed.startswith(said)
    assert "--resume" not in printed
    assert entries(folder)[0].status == "running"


@pytest.mark.parametrize(
    ("left", "starts"),
    [
        ("everything", []),  # but for its entry
        ("no summary", [(True, False)]),
        ("no checkpoint that is intact", [(True, False), (False, True)]),
        ("other settings", [(False, True)]),
        ("nothing", [(False, True)]),
    ],
)
def test_a_trial_goes_on_from_what_an_earlier_start_has_left(sweep, monkeypatch, left, starts):
    monkeypatch.setattr(results, "draw", lambda *args: None)
    spec, made = {"training.batch_size": [100]}, []
    _, folder = sweep(spec)
    before = entries(folder)[0]
    Ledger(folder / "trials").write(dataclasses.replace(before, status="running", metrics={}))
    run = folder / "runs/0000"
    if left == "nothing":
        shutil.rmtree(run)
    elif left == "other settings":
        Run.load(run / "config.yaml").replace(training={"epochs": 9}).save(run / "config.yaml")
    elif left != "everything":
        (run / "summary.json").unlink()

    def train(run, output, devices=None):
        made.append((output.resume, output.overwrite))
        if output.resume and "intact" in left:
            raise InputError("none of the 3 checkpoints in 'checkpoints' is intact")
        return fake.train(run, output)

    monkeypatch.setattr(tuner, "train", train)
    code, _ = sweep(spec)
    assert (code, made) == (0, starts)
    assert entries(folder)[0] == dataclasses.replace(before, attempts=2)


def test_a_kill_is_no_failure_of_the_trial_however_often_it_happens(sweep, capsys):
    spec = {"training.batch_size": [100, 300]}
    _, folder = sweep(spec, "--max-trials", "1")
    entry = {"number": 1, "values": {"training.batch_size": 300}, "attempts": 9}
    (folder / "trials/0001.json").write_text(json.dumps(entry))
    code, _ = sweep(spec)
    assert code == 0
    assert "trial 2 of 2: training.batch_size 300 (started 10 times)" in capsys.readouterr().out
    assert entries(folder)[1].status == "finished"


@pytest.mark.parametrize(
    ("left", "content"),
    [
        (["sweep.yaml"], "sweep: {}"),  # config.yaml was not written yet, or was deleted first
        (["sweep.yaml", "trials/0000.json", "runs/0000/config.yaml"], "{}"),
        ([".partial.sweep.yaml"], "swe"),
    ],
)
def test_killed_while_it_prepares_or_deletes_it_goes_on_by_the_same_command(
    sweep, tmp_path, left, content
):
    folder = tmp_path / "runs/sweeps/mine"
    for name in left:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    code, _ = sweep({"training.batch_size": [100]})
    assert code == 0
    assert [e.attempts for e in entries(folder).values()] == [1]


def test_an_overwrite_that_was_cut_off_is_started_again_and_mixes_nothing(sweep, monkeypatch):
    _, folder = sweep(BATCHES)
    rmtree = shutil.rmtree

    def cut_off(path, *args, **kwargs):
        if path.name == "trials":
            raise KeyboardInterrupt
        rmtree(path, *args, **kwargs)

    monkeypatch.setattr(shutil, "rmtree", cut_off)
    code, _ = sweep({"training.batch_size": [250]}, "--overwrite")
    assert code == 130
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    code, _ = sweep({"training.batch_size": [250]})
    assert code == 0
    assert [e.values["training.batch_size"] for e in entries(folder).values()] == [250]


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_a_folder_that_no_sweep_has_written_is_refused_and_kept(sweep, tmp_path, overwrite, capsys):
    config = tmp_path / "runs/sweeps/mine/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("a run's")
    code, _ = sweep(BATCHES, *overwrite)
    assert code == 2
    said = capsys.readouterr().err
    assert "exists and was not written by a sweep; choose another --name" in said
    assert "--resume" not in said
    assert config.read_text() == "a run's"


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        tf.errors.ResourceExhaustedError(None, None, "runs/x; No space left on device"),
        CannotWrite("cannot write to 'x': No space left on device; continue with --resume"),
        shutil.Error([("a", "b", str(FULL))]),
    ],
)
def test_a_full_disk_is_one_error_of_whatever_library(tmp_path, error):
    message = "No space left on device; once"
    with pytest.raises(tuner.SweepCannotWrite, match=message), tuner.writing(tmp_path):
        raise error


def test_a_full_disk_ends_the_sweep_in_one_line_and_the_same_command_finishes_it(
    sweep, monkeypatch, capsys
):
    def train(run, output, devices=None):
        if run.training.batch_size == 300:
            raise FULL
        return fake.train(run, output)

    monkeypatch.setattr(tuner, "train", train)
    spec = {"training.batch_size": [100, 300]}
    code, folder = sweep(spec)
    assert code == 1
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "error: cannot write to 'runs/sweeps/mine': No space left on device; once that is mended, "
        "the same command continues"
    ]
    monkeypatch.setattr(tuner, "train", fake.train)
    code, _ = sweep(spec)
    assert code == 0
    assert [e.status for e in entries(folder).values()] == ["finished"] * 2


@pytest.mark.parametrize("kind", ["grid", pytest.param("random", marks=pytest.mark.slow)])
def test_killed_around_any_write_of_its_state_it_ends_with_the_same_table(
    sweep, monkeypatch, kind, tmp_path
):
    """Each start is cut off at its second write, before it or after it in turn."""
    monkeypatch.setattr(results, "draw", lambda *args: None)
    argv = ("--tuner", kind, "--max-trials", "3")
    _, folder = sweep(BATCHES, *argv)
    unbroken = [dict(row, attempts="") for row in rows(folder)]
    write, writes = oracles.write_json, 0

    def cut_off(path, values):
        nonlocal writes
        writes += 1
        if writes % 4 == 2:
            raise KeyboardInterrupt
        write(path, values)
        if writes % 4 == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(oracles, "write_json", cut_off)
    code, _ = sweep(BATCHES, *argv, "--overwrite")
    starts = 1
    while code == 130:
        code, _ = sweep(BATCHES, *argv)
        starts += 1
        assert starts < 20
    assert code == 0
    assert starts > 3
    assert [dict(row, attempts="") for row in rows(folder)] == unbroken


@pytest.mark.parametrize(
    ("damaged", "content"),
    [
        ("keras_tuner/oracle.json", '{"start_order": ["0"'),
        ("keras_tuner/oracle.json", '{"trials": {"0000": {}}}'),
        ("keras_tuner/tuner0.json", ""),
        ("trials/0001.json", "[]"),
    ],
)
def test_a_torn_file_costs_at_most_its_own_trial(sweep, monkeypatch, damaged, content):
    monkeypatch.setattr(results, "draw", lambda *args: None)
    _, folder = sweep({"training.batch_size": [100, 300]})
    before = [dict(row, attempts="") for row in rows(folder)]
    (folder / damaged).write_text(content)
    code, _ = sweep({"training.batch_size": [100, 300]})
    assert code == 0
    assert [dict(row, attempts="") for row in rows(folder)] == before


@pytest.mark.parametrize(
    "kind",
    [
        "random",
        pytest.param("hyperband", marks=pytest.mark.slow),
        pytest.param("bayesian", marks=pytest.mark.slow),
    ],
)
def test_every_tuner_of_keras_tuner_searches_and_is_repeated_by_its_seed(sweep, kind, capsys):
    spec = {"training.batch_size": {"min": 20, "max": 900}}
    argv = ("--tuner", kind, "--max-trials", "4", "--epochs", "4")
    _, folder = sweep(spec, *argv)
    found = {i: e.values for i, e in entries(folder).items()}
    assert len(found) == 4
    assert "trial 4 of 4" in capsys.readouterr().out
    assert len({e["training.batch_size"] for e in found.values()}) > 2
    sweep(spec, *argv, "--overwrite")
    assert {i: e.values for i, e in entries(folder).items()} == found
    sweep(spec, *argv, "--overwrite", "--seed", "5")
    assert {i: e.values for i, e in entries(folder).items()} != found


def test_hyperband_says_how_many_trials_its_brackets_have(sweep, capsys):
    _, folder = sweep(
        {"training.batch_size": {"min": 20, "max": 900}}, "--tuner", "hyperband", "--epochs", "4"
    )
    count = len(entries(folder))
    assert f"trial {count} of {count}:" in capsys.readouterr().out
    epochs = {Run.load(p).training.epochs for p in folder.glob("runs/*/config.yaml")}
    assert len(epochs) > 1
    assert max(epochs) == 4


def test_bad_options_are_one_line_and_write_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for argv, named in (
        (["predicter"], "sweep must be one of predictor, batch_size,"),
        (["predictor", "--tuner", "grids"], "--tuner must be one of auto, grid, random, "),
        (["optimizer", "--tuner", "grid"], "tuner grid needs a list of values for each parameter"),
        (["optimizer", "--seeds", "0", "1"], "tuner grid needs a list of values"),
        (["predictor", "--seeds", "0", "--tuner", "random"], "seeds need tuner grid; got random"),
        (["predictor", "--seeds", "0", "-1"], "seeds must be at least 0"),
        (["predictor", "--max-trials", "0"], "max_trials must be at least 1; got 0"),
        (["nowhere.yaml"], "cannot read 'nowhere.yaml'"),
        (["predictor", "--chief", "localhost"], "chief must be HOST:PORT, such as"),
        (["predictor", "--chief", "a:1", "--worker", "b:1"], "only one of --chief and --worker"),
        (["predictor", "--worker", "b:1", "--worker-name", "chief2"], "must not contain 'chief'"),
        (["predictor", "--strategy", "multi_worker"], "with --chief and --worker"),
        (["predictor", "--width", "0"], "width must be at least 1; got 0"),
        (["batch_size", "--epochs", "1"], "warmup_epochs must be below epochs"),
    ):
        with pytest.raises(SystemExit) as caught:
            options.run_command(lambda _, argv=argv: tune.main(argv))
        assert caught.value.code == 2
        assert named in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def start(cwd, *argv, seconds="0.4"):
    """The command in a process of its own, on stand-ins that take a while."""
    return subprocess.Popen(
        [sys.executable, str(DRIVER), "mine.yaml", "--name", "mine", *argv],
        cwd=cwd,
        env={**os.environ, "SWEEP_SECONDS": seconds},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0][-2000:]
        time.sleep(0.05)


def test_a_second_command_of_one_sweep_is_refused_before_it_looks_at_anything(
    sweep, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(inputs, "load_inputs", Mock(side_effect=AssertionError))
    with claimed(tmp_path / "runs/sweeps/mine"):
        for argv in ([], ["--overwrite"]):
            code, _ = sweep(BATCHES, *argv)
            assert code == 2
            assert "'runs/sweeps/mine' is in use by another command" in capsys.readouterr().err


@pytest.mark.slow
def test_of_two_sweeps_that_are_started_at_once_one_runs(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(BATCHES))
    both = [start(tmp_path, seconds="2") for _ in range(2)]
    printed = "".join(process.communicate(timeout=120)[0] for process in both)
    assert sorted(process.returncode for process in both) == [0, 2]
    assert "'runs/sweeps/mine' is in use by another command" in printed


@pytest.mark.slow
def test_chief_and_workers_that_are_killed_end_with_the_table_of_one_unbroken_process(
    sweep, tmp_path
):
    spec = {"training.batch_size": list(range(101, 113))}
    code, folder = sweep(spec)
    assert code == 0
    unbroken = rows(folder)
    for left in ("runs", "saved_models"):
        shutil.rmtree(tmp_path / left)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{s.getsockname()[1]}"
    processes, cut_off = {}, []

    def launch(*names):
        for name in names:
            if name == "chief":
                processes[name] = start(tmp_path, "--chief", address)
                wait_for((folder / "config.yaml").exists, processes[name])
            else:
                argv = ("--worker", address, "--worker-name", name)
                processes[name] = start(tmp_path, *argv, seconds="1.5")

    def running(name):
        both = (name, "running")
        return [e.number for e in entries(folder).values() if (e.tuner, e.status) == both]

    def kill(*names):
        for name in names:
            processes[name].kill()
        for name in names:
            processes[name].wait()
            cut_off.extend(running(name))

    launch("chief", "a", "b")
    try:
        wait_for(lambda: running("a") and running("b"), processes["chief"])
        kill("b")
        assert cut_off
        launch("b")
        wait_for(lambda: len(entries(folder)) >= 5, processes["chief"])
        kill("chief")
        launch("chief")
        wait_for(lambda: len(entries(folder)) >= 8, processes["chief"])
        kill("chief", "a")
        launch("chief", "a")
        for name in ("chief", "a", "b"):
            printed, _ = processes[name].communicate(timeout=180)
            assert processes[name].returncode == 0, printed
    finally:
        for process in processes.values():
            process.kill()
    # Those that were cut off were started again, and each of the others once.
    assert {i: e.attempts for i, e in entries(folder).items()} == {
        i: 1 + cut_off.count(i) for i in range(12)
    }
    found = rows(folder)
    assert {row["tuner"] for row in found} == {"a", "b"}
    for row in (*found, *unbroken):
        del row["attempts"], row["tuner"]
    assert found == unbroken


def test_a_worker_trains_with_the_settings_of_its_chief(sweep, monkeypatch, capsys):
    monkeypatch.setattr(results, "draw", lambda *args: None)
    spec = {"training.batch_size": [100]}
    sweep(spec)
    for name in ("ORACLE_IP", "ORACLE_PORT", "TUNER_ID"):  # which the command sets
        monkeypatch.setenv(f"KERASTUNER_{name}", "")
    monkeypatch.setattr(tuner.SweepTuner, "__init__", lambda *_: None)
    monkeypatch.setattr(tuner.SweepTuner, "search", lambda _: None)
    worker = ("--worker", "127.0.0.1:9", "--worker-name", "a")
    assert sweep(spec, *worker)[0] == 0
    assert sweep(spec, *worker, "--epochs", "3")[0] == 2
    assert "epochs was 20, now 3" in capsys.readouterr().err
    images = Mock(monitor=True, description="", fingerprints={"training images": "others"})
    monkeypatch.setattr(inputs, "load_inputs", lambda _: images)
    assert sweep(spec, *worker)[0] == 2
    assert "the images differ from those with which it began" in capsys.readouterr().err


def test_a_worker_without_its_chiefs_folder_says_what_to_do(sweep, capsys, monkeypatch):
    for name in ("IP", "PORT"):
        monkeypatch.setenv(f"KERASTUNER_ORACLE_{name}", "0")
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "x")
    code, _ = sweep(BATCHES, "--worker", "127.0.0.1:9", "--worker-name", "a")
    assert code == 2
    assert "start the chief first" in capsys.readouterr().err


def test_a_dataset_without_labels_is_refused(sweep, tmp_path, capsys):
    for i in range(2):
        write_image(tmp_path / f"images/{i}.png", i)
    code, _ = sweep({"training.batch_size": [2]}, "--dataset", f"folder:{tmp_path / 'images'}")
    assert code == 2
    assert "must have labeled training and test images" in capsys.readouterr().err


@pytest.mark.slow
def test_real_trainings_are_swept_and_shown_in_tensorboard(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"training.batch_size": [900, 1800]}))
    quick = ("--width", "4", "--projector-dim", "32", "--epochs", "1", "--knn-every", "0")
    assert tune.main(["mine.yaml", "--name", "real", *quick]) == 0
    folder = tmp_path / "runs/sweeps/real"
    found = entries(folder)
    assert len(found) == 2
    assert {e.status for e in found.values()} <= {"finished", "collapsed"}
    for e in found.values():
        assert e.metrics["knn_top1"] > 0
        assert e.metrics["knn_top1_raw_pixels"] == pytest.approx(0.28, abs=0.01)
        assert e.metrics["loss"] < 0
    assert not list(folder.glob("runs/*/checkpoints"))
    hparams = list(folder.glob("runs/0000/tensorboard/events.*"))
    assert any(b"training.batch_size" in p.read_bytes() for p in hparams)
    assert load_encoder(tmp_path / "saved_models/real").image_size == 32
