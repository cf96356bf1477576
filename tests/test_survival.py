"""What a run survives: being killed, preemption, damaged checkpoints, full disks."""

import io
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import zipfile

import h5py
import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_simsiam import InputError, presets
from keras_simsiam.metrics import in_history
from keras_simsiam.training import checkpoint_file
from keras_simsiam.training.output import Output
from keras_simsiam.training.run import train

COMMAND = [sys.executable, "-m", "keras_simsiam.train", "--name", "run", "--deterministic"]
# 9 steps per epoch, and a checkpoint after every step, so that a kill is within an epoch.
SMALL = ["--width", "2", "--projector-dim", "16", "--batch-size", "600", "--epochs", "4"]
SMALL += ["--knn-every", "2", "--checkpoint-every", "0.0001"]


def start(cwd, *argv, **kwargs):
    return subprocess.Popen(
        [*COMMAND, *SMALL, *argv],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **kwargs,
    )


def finish(process):
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed[-3000:]
    return printed


def steps(folder):
    return [int(p.stem[5:]) for p in (folder / "checkpoints").glob("step-*.keras")]


def wait_until_step(folder, step, process):
    deadline = time.monotonic() + 200
    while max(steps(folder), default=0) < step:
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def weights(folder):
    """The bytes of the last checkpoint's weights, optimizers included."""
    path = max((folder / "checkpoints").glob("step-*.keras"))
    with zipfile.ZipFile(path) as file:
        return path.name, _arrays(file.read("model.weights.h5"))


def _arrays(data):
    found = {}
    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None
        )
    return found


def tensorboard(folder):
    """What TensorBoard shows: for each curve and step the last value that was written."""
    shown = {}
    for path in (folder / "tensorboard").rglob("events.*"):
        events = EventAccumulator(str(path)).Reload()
        for tag in events.Tags()["tensors"]:
            if tag.startswith("epoch_") and in_history(tag.removeprefix("epoch_")):
                for event in events.Tensors(tag):
                    shown[tag, event.step] = event.tensor_proto.SerializeToString()
    return shown


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("unbroken")
    finish(start(cwd))
    return cwd / "runs/run"


def assert_same(folder, unbroken):
    (name, found), (expected_name, expected) = weights(folder), weights(unbroken)
    assert name == expected_name
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)
    assert (folder / "history.csv").read_bytes() == (unbroken / "history.csv").read_bytes()
    assert tensorboard(folder) == tensorboard(unbroken)


@pytest.mark.slow
def test_a_run_killed_three_times_ends_bit_for_bit_as_the_unbroken_run(unbroken, tmp_path):
    folder = tmp_path / "runs/run"
    chance = random.Random(time.time_ns())
    # A step of each third of the training, none at the end of an epoch.
    kills = [
        chance.choice([s for s in range(*third) if s % 9])
        for third in ((2, 11), (12, 22), (24, 33))
    ]
    print("killed at steps", kills)
    for i, step in enumerate(kills):
        process = start(tmp_path, *(["--resume"] if i else []))
        wait_until_step(folder, step, process)
        process.kill()
        process.wait()
    finish(start(tmp_path, "--resume"))
    assert_same(folder, unbroken)


@pytest.mark.slow
def test_sigterm_saves_a_checkpoint_says_how_to_continue_and_exits_with_0(unbroken, tmp_path):
    folder = tmp_path / "runs/run"
    process = start(tmp_path)
    wait_until_step(folder, 12, process)
    process.send_signal(signal.SIGTERM)
    printed = finish(process)
    (last,) = [s for s in steps(folder) if s == max(steps(folder))]
    assert f"preempted: a checkpoint of step {last} is saved" in printed
    assert "--resume continues" in printed
    assert last < 36
    assert not (folder / "summary.json").exists()
    # If the last one is damaged, the one before it is used.
    path = folder / f"checkpoints/step-{last:08d}.keras"
    path.write_bytes(path.read_bytes()[:-100])
    printed = finish(start(tmp_path, "--resume"))
    assert "is damaged" in printed
    assert f"step {last - 1}" in printed
    assert_same(folder, unbroken)


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
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        process = start(tmp_path)
        wait_until_step(disk / "run", 3, process)
        fill = disk / "other"
        free = os.statvfs(disk)
        fill.write_bytes(b"0" * (free.f_bavail * free.f_bsize - 4096))
        printed, _ = process.communicate(timeout=200)
        assert process.returncode == 1
        assert "Traceback" not in printed
        error = printed.strip().splitlines()[-1]
        assert "error: cannot write to " in error
        assert "No space left on device" in error
        assert "continue with --resume" in error
        fill.unlink()
        finish(start(tmp_path, "--resume"))
        assert_same(disk / "run", unbroken)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def resident(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


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
    assert after < 1.02 * before
