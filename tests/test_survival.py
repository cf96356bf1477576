"""What a run survives: being killed at any moment, preemption, damaged checkpoints, full disks."""

import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import zipfile
import zlib

import h5py
import keras
import pytest
import tensorflow as tf
from helpers import write_image
from helpers.killed import Runner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_simsiam import InputError, metrics, presets
from keras_simsiam.training import checkpoint_file
from keras_simsiam.training.output import Output
from keras_simsiam.training.run import train

# Nine steps in three epochs, a checkpoint after each step, and another one at the end of an epoch.
TINY = ["--preset", "photo_patches", "--name", "run", "--deterministic", "--width", "4"]
TINY += ["--projector-dim", "8", "--projector-layers", "2", "--batch-size", "8", "--epochs", "3"]
TINY += ["--knn-every", "1", "--keep-checkpoints", "2", "--checkpoint-every", "0.0000001"]
TINY += ["--jitter-probability", "0", "--grayscale-probability", "0"]
TRAINING = "keras_simsiam.training"
ALL = os.environ.get("KERAS_SIMSIAM_ALL_MOMENTS")


@pytest.fixture(scope="module")
def runner():
    runner = Runner()
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The arguments of a tiny run."""
    root = tmp_path_factory.mktemp("images")
    for split, count in (("train", 12), ("val", 4)):
        for label in ("cat", "dog"):
            for i in range(count):
                path = root / split / label / f"{i}.png"
                write_image(path, zlib.crc32(f"{split}{label}{i}".encode()), (16, 16))
    return [*TINY, "--dataset", f"folder:{root}"]


class Unbroken:
    """A run that nothing interrupts, with what comes of it."""

    def __init__(self, runner, cwd, argv):
        self.runner, self.argv = runner, argv
        code, printed, self.changes = runner(cwd, *argv)
        assert code == 0, printed
        self.results = results(cwd)

    def number(self, change, time):
        """The number of the change of such a name that is made for the n-th time."""
        return [i for i, name in enumerate(self.changes, 1) if name == change][time - 1]

    def killed(self, cwd, at, resume=()):
        """Kills a run at a moment."""
        code, printed, _ = self.runner(cwd, *self.argv, *resume, at=at)
        assert code == -signal.SIGKILL, printed

    def ends_alike(self, cwd):
        """Has a killed run go on, and returns what differs in the end."""
        begun = any((cwd / "runs/run" / name).exists() for name in (".lock", "config.yaml"))
        resume = ["--resume"] if begun else []
        summary = cwd / "runs/run/summary.json"
        if not summary.exists():  # it is written last
            code, printed, _ = self.runner(cwd, *self.argv, *resume)
            if code:
                return [f"exit code {code}: {printed[-300:]}"]
        found = results(cwd)
        return [name for name, value in self.results.items() if found.get(name) != value]


def results(cwd):
    """What must not depend on interruptions: files by name, and what is in them."""
    folder = cwd / "runs/run"
    last = max(folder.glob("checkpoints/step-*.keras"))
    summary = json.loads((folder / "summary.json").read_text())
    elsewhere = ("summary.json", "exported.json")  # compared below; the path of the SavedModel
    names = [p.relative_to(folder) for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    files = [p for p in names if len(p.parts) == 1 and p.name not in elsewhere]
    exported = tf.train.load_checkpoint(str(cwd / "saved_models/run/variables/variables"))
    return {
        "names": sorted({str(p.parent if "tfevents" in p.name else p) for p in names}),
        "weights": _arrays(last),
        "state": checkpoint_file.read(last),
        "best.keras": (
            _arrays(folder / "checkpoints/best.keras"),
            checkpoint_file.read(folder / "checkpoints/best.keras"),
        ),
        "TensorBoard": curves(folder / "tensorboard"),
        "summary.json": {k: v for k, v in summary.items() if metrics.in_history(k)},
        "export": {
            name: exported.get_tensor(name).tobytes()
            for name in exported.get_variable_to_shape_map()
            if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
        },
        **{p.name: (folder / p).read_bytes() for p in files},
    }


def _arrays(checkpoint):
    """The weights in a checkpoint, optimizers included, as bytes by name."""
    found = {}

    def visit(name, item):
        if hasattr(item, "shape"):
            found[name] = item[()].tobytes()

    with zipfile.ZipFile(checkpoint) as members:
        stored = io.BytesIO(members.read("model.weights.h5"))
    with h5py.File(stored) as file:
        file.visititems(visit)
    return found


def curves(folder):
    """All points of all curves but those of time."""
    return sorted(
        (tag, event.step, event.tensor_proto.SerializeToString())
        for path in folder.rglob("events.*")
        for events in (EventAccumulator(str(path), {"tensors": 0}).Reload(),)
        for tag in events.Tags()["tensors"]
        for event in events.Tensors(tag)
        if metrics.in_history(tag.removeprefix("epoch_"))
    )


@pytest.fixture(scope="module")
def unbroken(runner, tiny, tmp_path_factory):
    return Unbroken(runner, tmp_path_factory.mktemp("unbroken"), tiny)


@pytest.fixture(scope="module")
def mirrored(runner, tiny, tmp_path_factory):
    argv = [*tiny, "--strategy", "mirrored", "--logical-devices", "2"]
    return Unbroken(runner, tmp_path_factory.mktemp("mirrored"), argv)


PHASES = {
    "scan": f"{TRAINING}.prepare:load_inputs 1",
    "baselines": f"{TRAINING}.prepare:measure_baselines 1",
    "first step": f"{TRAINING}.callbacks:StopOnBadLoss.on_train_batch_end 1",
    "mid epoch": f"{TRAINING}.callbacks:StopOnBadLoss.on_train_batch_end 5",
    "evaluation": f"{TRAINING}.collapse:CollapseMonitor.measure 2",
    "kNN": f"{TRAINING}.monitors:KNNMonitor.on_epoch_end 2",
    "before TensorBoard": f"{TRAINING}.tensorboard:EpochCurves.on_epoch_end 2",
    "after TensorBoard": f"{TRAINING}.checkpoints:Checkpoints.on_epoch_end 2",
    "last evaluation": f"{TRAINING}.collapse:CollapseMonitor.measure 3",
    "end of training": f"{TRAINING}.run:record 1",
    "export": f"{TRAINING}.record:export_encoder 1",
    "figures": f"{TRAINING}.record:plots.curves 1",
}
CHANGES = {
    "settings": ("rename runs/run/config.yaml", 1),
    "first row of the history": ("rename runs/run/history.csv", 1),
    "first checkpoint": ("rename runs/run/checkpoints/step-00000001.keras", 1),
    "second row of the history": ("rename runs/run/history.csv", 3),
    "end of an epoch": ("rename runs/run/checkpoints/step-00000006.keras", 2),
    "best": ("link runs/run/checkpoints/.partial.best.keras", 1),
    "pruning": ("remove runs/run/checkpoints/step-00000005.keras", 1),
    "spectrum": ("rename runs/run/spectrum.csv", 1),
    "summary": ("rename runs/run/summary.json", 1),
}
A_DOZEN = ["baselines", "mid epoch", "kNN", "before TensorBoard", "after TensorBoard", "export"]
A_DOZEN += ["settings", "first checkpoint", "end of an epoch", "best", "pruning", "summary"]


def moment(name, unbroken):
    return PHASES.get(name) or unbroken.number(*CHANGES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PHASES, *CHANGES] if ALL else A_DOZEN)
def test_a_killed_run_ends_bit_for_bit_as_the_unbroken_one(name, unbroken, tmp_path):
    unbroken.killed(tmp_path, moment(name, unbroken))
    assert unbroken.ends_alike(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PHASES, *CHANGES] if ALL else ["best"])
def test_a_killed_run_on_two_devices_ends_as_the_unbroken_one(name, mirrored, tmp_path):
    mirrored.killed(tmp_path, moment(name, mirrored))
    assert mirrored.ends_alike(tmp_path) == []


@pytest.mark.slow
def test_a_run_that_was_stopped_by_its_collapse_stays_stopped(runner, tiny, tmp_path):
    argv = [*tiny, "--batch-size", "2", "--epochs", "5", "--stop-on-collapse"]
    argv += ["--checkpoint-every", "0", "--no-stop-gradient", "--predictor", "none"]
    argv += ["--learning-rate", "20"]
    for name in ("unbroken", "killed"):
        (tmp_path / name).mkdir()
    unbroken = Unbroken(runner, tmp_path / "unbroken", argv)
    summary = unbroken.results["summary.json"]
    assert (summary["status"], summary["epochs"]) == ("collapsed", 4)
    unbroken.killed(tmp_path / "killed", PHASES["end of training"])
    assert unbroken.ends_alike(tmp_path / "killed") == []


@pytest.fixture(scope="module")
def killed_in_the_evaluation(unbroken, tmp_path_factory):
    cwd = tmp_path_factory.mktemp("killed")
    unbroken.killed(cwd, PHASES["evaluation"])
    return cwd


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kNN", "first step", "figures"] if ALL else ["first step"])
def test_a_second_kill_during_recovery(name, killed_in_the_evaluation, unbroken, tmp_path):
    cwd = shutil.copytree(killed_in_the_evaluation, tmp_path / "again")
    at = PHASES[name].replace(" 2", " 1")
    unbroken.killed(cwd, at, ["--resume"])
    unbroken.killed(cwd, at, ["--resume"])
    assert unbroken.ends_alike(cwd) == []


@pytest.mark.slow
@pytest.mark.skipif(not ALL, reason="takes long; set KERAS_SIMSIAM_ALL_MOMENTS=1")
@pytest.mark.parametrize("recovering", [False, True])
def test_kills_at_every_change_of_a_file(
    recovering, unbroken, killed_in_the_evaluation, tmp_path, capsys
):
    """Each is a copy of what was there at that moment, which is what SIGKILL leaves."""
    cwd = tmp_path / "whole"
    if recovering:
        shutil.copytree(killed_in_the_evaluation, cwd)
    else:
        cwd.mkdir()
    argv = [*unbroken.argv, *(["--resume"] if recovering else [])]
    code, printed, changes = unbroken.runner(cwd, *argv, at="all")
    assert code == 0, printed
    failed = {}
    for number, change in enumerate(changes, 1):
        differing = unbroken.ends_alike(tmp_path / "copies" / str(number))
        with capsys.disabled():
            print(number, change, differing or "exact", flush=True)
        if differing:
            failed[f"{number} {change}"] = differing
    assert failed == {}


@pytest.mark.slow
def test_sigterm_saves_a_checkpoint_says_how_to_continue_and_exits_with_0(unbroken, tmp_path):
    argv = [*unbroken.argv, "--checkpoint-every", "0"]
    code, printed, _ = unbroken.runner(tmp_path, *argv, at=PHASES["mid epoch"], send="SIGTERM")
    assert code == 0, printed
    assert "preempted: a checkpoint of step 5 is saved" in printed
    assert "--resume continues" in printed
    folder = tmp_path / "runs/run"
    assert not (folder / "summary.json").exists()
    # If the last one is damaged, the one before it is used.
    path = folder / "checkpoints/step-00000005.keras"
    path.write_bytes(path.read_bytes()[:-100])
    assert unbroken.ends_alike(tmp_path) == []
    printed = (tmp_path / "printed").read_text()
    assert "step-00000005.keras' is damaged" in printed
    assert "weights        going on from runs/run/checkpoints/step-00000003.keras" in printed


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
    disk = tmp_path / "runs"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=320k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        code, printed, _ = unbroken.runner(tmp_path, *unbroken.argv)
        assert code == 1, printed
        assert "Traceback" not in printed
        error = printed.strip().splitlines()[-1]
        assert "error: cannot write to " in error
        assert "No space left on device" in error
        assert "continue with --resume" in error
        assert any(disk.glob("run/checkpoints/step-*.keras"))
        subprocess.run(["mount", "-o", "remount,size=9m", str(disk)], check=True)
        assert unbroken.ends_alike(tmp_path) == []
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
