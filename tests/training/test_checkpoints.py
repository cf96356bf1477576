"""Checkpoints: when they are saved, and which are kept."""

import io
import os
import shutil
import subprocess
import zipfile

import h5py
import keras
import numpy as np
import pytest
from helpers.checkpointed import fit, make

from keras_simsiam import Augmentation, TrainingDiverged, _compat, views
from keras_simsiam.training import checkpoint_file, resuming
from keras_simsiam.training.checkpoints import Checkpoints
from keras_simsiam.training.output import Output

EACH_STEP = Output(keep_checkpoints=9, checkpoint_every=1e-9)


def latest(folder):
    return next(resuming.intact(folder))


def test_the_last_three_and_the_first_best_are_kept_and_no_partial_files(trained):
    steps = [f"step-{step:08d}" for step in (4, 6, 8)]
    assert {p.name for p in trained.iterdir()} == {f"{name}.keras" for name in (*steps, "best")}
    best = checkpoint_file.read(trained / "best.keras")["best"]
    assert best == {"knn_top1": 0.5, "step": 4}
    assert (trained / "best.keras").read_bytes() == (trained / f"{steps[0]}.keras").read_bytes()


def test_weights_are_stored_where_earlier_versions_stored_them(trained):
    """Or their checkpoints could not be read."""
    with zipfile.ZipFile(trained / "step-00000008.keras") as file:
        stored = h5py.File(io.BytesIO(file.read("model.weights.h5")))
    keras_3 = ("backbone", "layers/functional_1", "layers/functional_2")
    keras_2 = ("layers/functional", "projector", "predictor")
    for part in keras_3 if _compat.KERAS_3 else keras_2:
        assert f"{part}/layers/dense" in stored or f"{part}/layers/conv2d" in stored
    assert "parts" not in stored
    assert {"optimizer", "predictor_optimizer", "vars"} < set(stored)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    callback = Checkpoints(tmp_path)
    callback.set_model(make())
    callback.model.predictor.weights[0].assign(np.full((16, 4), np.nan))
    with pytest.raises(TrainingDiverged, match="is no longer finite at step 0"):
        callback.save_within_epoch()
    assert not any(tmp_path.iterdir())


def best_after_resuming(folder):
    callback = Checkpoints(folder, resumed=latest(folder)[1])
    callback.restore_best()
    return callback


def test_a_kill_before_the_best_was_kept_is_made_up_for(folder):
    best, earlier = folder / "best.keras", folder / "step-00000006.keras"
    for lost in (lambda: None, lambda: best.write_bytes(b""), lambda: shutil.copy(earlier, best)):
        best.unlink()
        lost()
        best_after_resuming(folder)
        assert checkpoint_file.read(best)["step"] == 4


def test_a_best_that_cannot_be_restored_is_reported(folder):
    (folder / "step-00000004.keras").unlink()
    (folder / "best.keras").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=r"best\.keras' is not intact.*higher .* than 50\.0%"):
        best_after_resuming(folder)


def test_a_checkpoint_is_saved_within_an_epoch_once_the_last_is_old_enough(tmp_path):
    fit(make(), [Checkpoints(tmp_path, EACH_STEP)], steps=3)
    infos = {p.stem[-1]: checkpoint_file.read(p) for p in tmp_path.glob("step-*.keras")}
    assert sorted(infos) == ["1", "2", "3"]
    assert "metrics" in infos["2"]
    assert "metrics" not in infos["3"]  # saved at the end of the epoch


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A checkpoint of three steps of an epoch of four, its averages, and those of the epoch."""
    folder = tmp_path_factory.mktemp("interrupted")
    whole = fit(make(), [Checkpoints(folder, EACH_STEP)], steps=4).history
    averages = checkpoint_file.read(folder / "step-00000003.keras")["metrics"]
    return folder / "step-00000003.keras", averages, whole


def resume(checkpoint, averages, folder, **state):
    """Completes the epoch; returns what it logs."""
    images = np.random.RandomState(0).randint(0, 256, (32, 8, 8, 3), np.uint8)
    model = keras.models.load_model(checkpoint)
    return model.fit(
        views(images, Augmentation.preset("cifar"), 8, start_step=3),
        steps_per_epoch=1,
        shuffle=False,
        verbose=0,
        callbacks=[Checkpoints(folder, resumed={"metrics": averages, **state})],
    ).history


def in_a_list(averages):
    """The format before version 0.2."""
    return [value for values in averages.values() for value in values]


@pytest.mark.parametrize("written_as", [dict, in_a_list])
def test_averages_of_an_interrupted_epoch_continue(written_as, interrupted, tmp_path):
    checkpoint, averages, whole = interrupted
    history = resume(checkpoint, written_as(averages), tmp_path)
    for name in ("loss", "z_std"):
        assert history[name][0] == pytest.approx(whole[name][0], abs=1e-5)


def test_averages_of_two_devices_continue_on_one(interrupted, tmp_path):
    checkpoint, averages, whole = interrupted
    of_each = {name: [value / 2 for value in values] for name, values in averages.items()}
    history = resume(checkpoint, of_each, tmp_path, replicas=2)
    for name in ("loss", "z_std"):
        assert history[name][0] == pytest.approx(whole[name][0], abs=1e-5)


def test_a_metric_that_the_checkpoint_lacks_is_reported_and_the_others_continue(
    interrupted, tmp_path
):
    checkpoint, averages, whole = interrupted
    averages = {"loss": averages["loss"], "gone": [1.0, 2.0]}
    with pytest.warns(UserWarning, match="no average of 'z_std'; .* starts at step 4"):
        history = resume(checkpoint, averages, tmp_path)
    assert history["loss"][0] == pytest.approx(whole["loss"][0], abs=1e-5)
    assert history["z_std"][0] != pytest.approx(whole["z_std"][0], abs=1e-5)


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    abandoned = tmp_path / ".partial.step-00000001.keras"
    abandoned.write_bytes(b"half")
    fit(make(), [Checkpoints(tmp_path)])
    assert not abandoned.exists()


def can_mount(folder):
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    return os.name == "posix" and subprocess.run(mount, capture_output=True).returncode == 0


def test_a_full_disk_leaves_earlier_checkpoints_intact_and_no_partial_files(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if not can_mount(disk):
        pytest.skip("needs the right to mount a small disk")
    try:
        model = make()
        callback = Checkpoints(disk / "checkpoints")
        callback.set_model(model)
        callback.on_epoch_end(0)
        before, _ = latest(disk / "checkpoints")
        size = os.statvfs(disk)
        (disk / "other").write_bytes(b"0" * (size.f_bavail * size.f_bsize - 50_000))
        model.step_counter.assign(1)
        with pytest.raises(OSError, match="No space left"):
            callback.on_epoch_end(1)
        assert latest(disk / "checkpoints")[0] == before
        assert not any((disk / "checkpoints").glob("*partial*"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
