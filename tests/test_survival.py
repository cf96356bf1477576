"""What a run survives: being killed at any moment, preemption, damaged checkpoints, full disks."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import keras
import pytest
from helpers.killed import Runner
from helpers.unbroken import Unbroken

from keras_simsiam import InputError, presets
from keras_simsiam.training import checkpoint_file
from keras_simsiam.training.output import Output
from keras_simsiam.training.run import train

TRAINING = "keras_simsiam.training"
ALL = os.environ.get("KERAS_SIMSIAM_ALL_MOMENTS")
all_moments = pytest.mark.skipif(not ALL, reason="takes long; set KERAS_SIMSIAM_ALL_MOMENTS=1")

# Each is reached by the process that goes on after the one before was killed.
MOMENTS = {
    "scan": f"{TRAINING}.prepare:load_inputs 1",
    "baselines": f"{TRAINING}.prepare:measure_baselines 1",
    "settings": "rename runs/run/config.yaml",
    "first row of the history": "rename runs/run/history.csv",
    "first step": f"{TRAINING}.callbacks:StopOnBadLoss.on_train_batch_end 1",
    "first checkpoint": "rename runs/run/checkpoints/step-00000001.keras",
    "evaluation": f"{TRAINING}.collapse:CollapseMonitor.measure 1",
    "kNN": f"{TRAINING}.monitors:KNNMonitor.on_epoch_end 1",
    "before TensorBoard": f"{TRAINING}.tensorboard:EpochCurves.on_epoch_end 1",
    "after TensorBoard": f"{TRAINING}.checkpoints:Checkpoints.on_epoch_end 1",
    "best": "link runs/run/checkpoints/.partial.best.keras",
    "mid epoch": f"{TRAINING}.callbacks:StopOnBadLoss.on_train_batch_end 1",
    "pruning": "remove runs/run/checkpoints/step-00000001.keras",
    "last evaluation": f"{TRAINING}.collapse:CollapseMonitor.measure 1",
    "end of training": f"{TRAINING}.run:record 1",
    "export": f"{TRAINING}.record:exporting 1",
    "figures": f"{TRAINING}.record:plots.curves 1",
    "spectrum": "rename runs/run/spectrum.csv",
    "summary": "rename runs/run/summary.json",
}


def moments(names):
    return [MOMENTS[name] for name in names.split(", ")]


# A signal that ends an epoch early ends it with a checkpoint, so that each takes an epoch.
AT_SIGNALS = moments("scan, baselines, settings, first row of the history, first step, evaluation")
AT_SIGNALS += moments("kNN, before TensorBoard, mid epoch, after TensorBoard, last evaluation")
AT_SIGNALS += [f"{TRAINING}.checkpoints:checkpoint_file.write 1"]
AT_SIGNALS += moments("end of training, export, figures, spectrum")
A_DOZEN = moments("baselines, first row of the history, first checkpoint, kNN, before TensorBoard")
A_DOZEN += moments("after TensorBoard, best, mid epoch, pruning, export, figures, summary")
AT_KILLS = [*MOMENTS.values()] if ALL else A_DOZEN


@pytest.fixture(scope="module")
def runner():
    runner = Runner()
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def unbroken(runner, tmp_path_factory):
    return Unbroken(runner, tmp_path_factory.mktemp("unbroken"))


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_bit_for_bit_as_the_unbroken_one(
    unbroken, tmp_path
):
    assert unbroken.killed(tmp_path, AT_KILLS) == []


@pytest.mark.slow
def test_so_does_one_on_two_devices(runner, tmp_path_factory):
    argv = ["--strategy", "mirrored", "--logical-devices", "2"]
    mirrored = Unbroken(runner, tmp_path_factory.mktemp("unbroken"), argv)
    at = AT_KILLS if ALL else MOMENTS["best"]
    assert mirrored.killed(tmp_path_factory.mktemp("killed"), at) == []


def two_workers():
    """The environments of two processes."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    tasks = [{"type": "worker", "index": i} for i in range(2)]
    return [
        {"TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": task})} for task in tasks
    ]


@pytest.mark.slow
@all_moments
def test_so_do_two_processes_of_which_one_or_both_are_killed(runner, tmp_path_factory):
    # The first ends an epoch by itself if the other is killed in its evaluation.
    argv = ["--strategy", "multi_worker", "--epochs", "4"]
    workers = Unbroken(runner, tmp_path_factory.mktemp("unbroken"), argv, two_workers)
    cwd = tmp_path_factory.mktemp("killed")
    for name, to in (
        ("baselines", [0]),
        ("scan", [1]),
        ("first row of the history", [0]),
        ("first step", [0, 1]),
        ("first checkpoint", [0]),  # the other has done the step
        ("first step", [1]),
        ("evaluation", [0]),
        ("evaluation", [1]),
        ("after TensorBoard", [0]),
        ("mid epoch", [1]),  # the first has its checkpoint
        ("last evaluation", [0, 1]),
        ("export", [0]),
    ):
        workers.interrupted(cwd, MOMENTS[name], to=to)
    assert workers.ends_alike(cwd) == []


@pytest.fixture(scope="module")
def longer(runner, tmp_path_factory):
    """A run of more epochs, and checkpoints at their ends only."""
    argv = ["--epochs", "8", "--checkpoint-every", "0"]
    return Unbroken(runner, tmp_path_factory.mktemp("longer"), argv)


@pytest.mark.slow
@all_moments
@pytest.mark.parametrize("send", ["SIGTERM", "SIGHUP", "SIGINT", "SIGINT twice"])
def test_so_does_a_run_that_signals_end_again_and_again(send, longer, tmp_path):
    """A terminal that is closed, which sends SIGHUP, does not show what is printed, either."""
    assert longer.killed(tmp_path, AT_SIGNALS, send, closed=send == "SIGHUP") == []


@pytest.mark.slow
def test_a_run_that_was_stopped_by_its_collapse_stays_stopped(runner, tmp_path):
    argv = ["--batch-size", "2", "--epochs", "5", "--stop-on-collapse"]
    argv += ["--checkpoint-every", "0", "--no-stop-gradient", "--predictor", "none"]
    argv += ["--learning-rate", "20"]
    for name in ("unbroken", "killed"):
        (tmp_path / name).mkdir()
    unbroken = Unbroken(runner, tmp_path / "unbroken", argv)
    summary = unbroken.results["summary.json"]
    assert summary["status"] == "collapsed"
    assert summary["epochs"] < 5
    assert unbroken.killed(tmp_path / "killed", MOMENTS["end of training"]) == []


@pytest.mark.slow
@all_moments
@pytest.mark.parametrize("recovering", [False, True])
def test_kills_at_every_change_of_a_file(recovering, unbroken, tmp_path, capsys):
    """Each is a copy of what was there at that moment, which is what SIGKILL leaves."""
    cwd = tmp_path / "whole"
    cwd.mkdir()
    if recovering:
        unbroken.interrupted(cwd, MOMENTS["evaluation"])
    ((code, printed, changes),) = unbroken.run(cwd, at="all")
    assert code == 0, printed
    failed = {}
    for number, change in enumerate(changes, 1):
        copy = tmp_path / "copies" / str(number)
        if not copy.exists():  # a kill before this change leaves what one before it leaves
            continue
        differing = unbroken.ends_alike(copy)
        shutil.rmtree(copy)
        with capsys.disabled():
            print(number, change, differing or "exact", flush=True)
        if differing:
            failed[f"{number} {change}"] = differing
    assert failed == {}


@pytest.mark.slow
def test_sigterm_saves_a_checkpoint_says_how_to_continue_and_exits_with_0(unbroken, tmp_path):
    at = f"{TRAINING}.callbacks:StopOnBadLoss.on_train_batch_end 3"
    printed = unbroken.interrupted(tmp_path, at, "SIGTERM")
    assert "preempted: a checkpoint of step 3 is saved" in printed
    assert "--resume continues" in printed
    folder = tmp_path / "runs/run"
    assert not (folder / "summary.json").exists()
    # If the last one is damaged, the one before it is used.
    path = folder / "checkpoints/step-00000003.keras"
    path.write_bytes(path.read_bytes()[:-100])
    assert unbroken.ends_alike(tmp_path) == []
    printed = (tmp_path / "printed0").read_text()
    assert "step-00000003.keras' is damaged" in printed
    assert "weights        going on from runs/run/checkpoints/step-00000002.keras" in printed


@pytest.mark.slow
def test_resuming_with_other_images_or_another_keras_is_refused(tmp_path, tiny_imagenet_zip):
    run = presets.preset("tiny_imagenet")
    small = {"model": {"width": 2, "projector_dim": 16}, "training": {"epochs": 1}}
    small["training"]["batch_size"] = 60
    small["data"] = {"dataset": "tiny_imagenet", "data_dir": str(tiny_imagenet_zip)}
    run = run.replace(**small)
    output = {"name": "run", "run_dir": str(tmp_path), "saved_model_dir": str(tmp_path / "s")}
    train(run, Output(**output))
    (tmp_path / "run/summary.json").unlink()
    path = tmp_path / "run/checkpoints/step-00000002.keras"
    model, state = keras.models.load_model(path), checkpoint_file.read(path)
    written = json.dumps(state)
    for other, said in (
        (written.replace('"120 (', '"120 (9'), r"training images were 120 \(9\w+\), now 120 \("),
        (written.replace(keras.__version__, "1.2.3"), r"Keras was 1\.2\.3"),
    ):
        checkpoint_file.write(path, model, json.loads(other))
        with pytest.raises(InputError, match=said):
            train(run, Output(**output, resume=True))


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_one_line_and_it_resumes_once_there_is_room(
    unbroken, tmp_path
):
    """The folders of the run and of its SavedModel are links to that disk."""
    disk = tmp_path / "disk"
    for link in ("runs/run", "saved_models/run"):
        (tmp_path / link).parent.mkdir()
        (tmp_path / link).symlink_to(disk / link.replace("/", "-"))
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    last = MOMENTS["summary"]  # renaming needs no room
    try:
        for at in [a for a in AT_KILLS if a != last] if ALL else [MOMENTS["before TensorBoard"]]:
            printed = unbroken.interrupted(tmp_path, at, "full")
            error = printed.strip().splitlines()[-1]
            assert "error: cannot write to " in error
            assert "No space left on device" in error
            (disk / "filler").unlink()
        assert unbroken.ends_alike(tmp_path) == []
        assert (tmp_path / "runs/run").is_symlink()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def resident(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def wait_until_step(folder, step, process):
    deadline = time.monotonic() + 200
    while not any(int(p.stem[5:]) >= step for p in folder.glob("checkpoints/step-*.keras")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_is_flat_over_2000_steps_and_33_knn_evaluations(tmp_path, tiny_imagenet_zip):
    argv = ["--dataset", "tiny_imagenet", "--data-dir", str(tiny_imagenet_zip)]
    argv += ["--width", "2", "--projector-dim", "16", "--batch-size", "2", "--knn-every", "1"]
    argv += ["--epochs", "99", "--checkpoint-every", "0"]  # 60 steps per epoch
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_simsiam.train", "--name", "run", *argv],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    folder = tmp_path / "runs/run"
    wait_until_step(folder, 200, process)
    before = resident(process.pid)
    wait_until_step(folder, 2200, process)
    after = resident(process.pid)
    process.kill()
    process.wait()
    assert after < 1.03 * before
