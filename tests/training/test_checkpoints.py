"""Checkpoints: which are kept, and which are refused because they are damaged or do not fit."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
from helpers.backbones import tiny

from keras_simsiam import (
    Augmentation,
    InputError,
    SimSiam,
    TrainingDiverged,
    _compat,
    paper_optimizers,
    predictor,
    projector,
    views,
)
from keras_simsiam.training import checkpoint_file, checkpoints
from keras_simsiam.training.checkpoints import Checkpoints
from keras_simsiam.training.output import Output

EACH_STEP = Output(keep_checkpoints=9, checkpoint_every=1e-9)


def make(width=2, dim=16):
    model = SimSiam(tiny(width), projector(8 * width, dim, layers=2), predictor(dim))
    model.compile(**paper_optimizers(8, 100))
    return model


def fit(model, callbacks, epochs=1, steps=2):
    images = np.random.RandomState(0).randint(0, 256, (32, 8, 8, 3), np.uint8)
    return model.fit(
        views(images, Augmentation.preset("cifar"), 8),
        epochs=epochs,
        steps_per_epoch=steps,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with checkpoints of four epochs, three of them kept."""
    folder = tmp_path_factory.mktemp("trained") / "checkpoints"
    accuracies = iter([0.3, 0.5, 0.4, 0.5])
    log = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(knn_top1=next(accuracies))
    )
    fit(make(), [log, Checkpoints(folder, remember=lambda: {"dataset": "noise"})], epochs=4)
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    """A copy to damage."""
    subprocess.run(["cp", "-r", str(trained), str(tmp_path / "copy")], check=True)
    return tmp_path / "copy"


def test_the_last_three_and_the_first_best_are_kept_and_no_partial_files(trained):
    steps = [f"step-{step:08d}" for step in (4, 6, 8)]
    assert {p.name for p in trained.iterdir()} == {f"{name}.keras" for name in (*steps, "best")}
    best = checkpoint_file.read(trained / "best.keras")["best"]
    assert best == {"knn_top1": 0.5, "step": 4}
    assert (trained / "best.keras").read_bytes() == (trained / f"{steps[0]}.keras").read_bytes()


def latest(folder):
    return next(checkpoints.intact(folder))


def test_the_latest_checkpoint_comes_with_what_was_saved_with_it(trained):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path, info = latest(trained)
    assert path.name == "step-00000008.keras"
    assert info["dataset"] == "noise"
    assert info["keras"] == keras.__version__
    assert keras.models.load_model(path).steps_done == 8


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


def truncate(path):
    path.write_bytes(path.read_bytes()[:1000])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_is_used(damage, folder):
    damage(folder / "step-00000008.keras")
    with pytest.warns(UserWarning, match=r"step-00000008\.keras' is damaged"):
        path, _ = latest(folder)
    assert path.name == "step-00000006.keras"


def test_a_changed_digit_of_the_state_is_noticed_like_one_of_the_weights(folder):
    path = folder / "step-00000008.keras"
    data = path.read_bytes()
    at = data.index(b'"step": 8') + len(b'"step": ')  # it is stored uncompressed
    path.write_bytes(data[:at] + b"9" + data[at + 1 :])
    with pytest.warns(UserWarning, match=r"step-00000008\.keras' is damaged"):
        assert latest(folder)[0].name == "step-00000006.keras"


def test_no_intact_checkpoint_is_an_error(folder):
    for path in folder.glob("step-*.keras"):
        flip(path)
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(InputError, match=r"none of the 3 checkpoints in .* is intact"),
    ):
        checkpoints.restore(folder, make())


def test_other_images_are_refused_by_each_process_that_has_them(tmp_path):
    digests = {"training images": "4 (a)", "test images": "2 (b)"}
    saved = Checkpoints(tmp_path, remember=lambda: {"dataset": "d", "fingerprints": digests})
    saved.set_model(make())
    saved.save_within_epoch()
    checkpoints.check_begun_with(tmp_path, "d", digests)
    checkpoints.check_begun_with(tmp_path, "", {"training images": "4 (a)"}, partly=True)
    for found, partly in (
        ({**digests, "test images": "2 (c)"}, False),
        ({"training images": "4 (b)"}, True),
    ):
        with pytest.raises(InputError, match="the images differ from those with which it began"):
            checkpoints.check_begun_with(tmp_path, "d", found, partly)


def test_a_checkpoint_that_is_not_finite_is_named_and_the_one_before_it_is_used(folder):
    path = folder / "step-00000008.keras"
    model = keras.models.load_model(path)
    model.backbone.get_layer("conv1").kernel.assign(np.full((3, 3, 3, 16), np.inf))
    checkpoint_file.write(path, model, checkpoint_file.read(path))
    with pytest.warns(UserWarning, match=r"step-00000008.*conv1/kernel is not finite"):
        used, _, state = checkpoints.restore(folder, make())
    assert (used.name, state["step"]) == ("step-00000006.keras", 6)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    callback = Checkpoints(tmp_path)
    callback.set_model(make())
    callback.model.predictor.weights[0].assign(np.full((16, 4), np.nan))
    with pytest.raises(TrainingDiverged, match="is no longer finite at step 0"):
        callback.save_within_epoch()
    assert not any(tmp_path.iterdir())


def test_a_checkpoint_that_keras_cannot_read_is_one_line(folder):
    path = folder / "step-00000008.keras"
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members["config.json"] = members["config.json"].replace(b"SimSiam", b"SimNone")

    class Model:
        def save(self, path):
            with zipfile.ZipFile(path, "w") as file:
                for name, data in members.items():
                    if name != "keras_simsiam.json":
                        file.writestr(name, data)

    checkpoint_file.write(path, Model(), checkpoint_file.read(path))
    with pytest.raises(InputError, match=r"cannot read checkpoint '.*step-00000008\.keras': \w+"):
        checkpoints.restore(folder, make())


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


@pytest.fixture
def of_an_earlier_version(folder):
    """The checkpoints as they were written when state and checksum lay beside them."""
    for path in folder.glob("*.keras"):
        state = checkpoint_file.read(path)
        with zipfile.ZipFile(path) as file:
            members = {name: file.read(name) for name in file.namelist()}
        path.unlink()  # and with it the link
        with zipfile.ZipFile(path, "w") as file:
            for name, data in members.items():
                if name != "keras_simsiam.json":
                    file.writestr(name, data)
        info = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "dataset": "noise"}
        if path.stem == "best":
            info |= {"knn_top1": 0.5, "from": "step-00000004.keras"}
        path.with_suffix(".json").write_text(json.dumps({**info, "keras": state["keras"]}))
    return folder


def test_checkpoints_of_earlier_versions_are_used(of_an_earlier_version):
    folder = of_an_earlier_version
    path, model, state = checkpoints.restore(folder, make())
    assert (path.name, model.steps_done) == ("step-00000008.keras", 8)
    assert state["best"] == {"knn_top1": 0.5, "step": 4}
    callback = Checkpoints(folder, resumed=state)
    callback.set_model(model)
    callback.restore_best()
    with zipfile.ZipFile(folder / "best.keras") as file:
        assert "keras_simsiam.json" not in file.namelist()  # it is still there
    callback.on_epoch_end(4, {"knn_top1": 0.6})
    assert checkpoint_file.read(folder / "best.keras")["best"] == {"knn_top1": 0.6, "step": 8}
    assert {p.name for p in folder.glob("*.json")} == {
        "step-00000004.json",
        "step-00000006.json",
        "step-00000008.json",
    }


@pytest.mark.parametrize("damage", [truncate, flip])
def test_a_damaged_checkpoint_of_an_earlier_version_is_reported(damage, of_an_earlier_version):
    damage(of_an_earlier_version / "step-00000008.keras")
    (of_an_earlier_version / "step-00000006.json").write_text("{}")
    with pytest.warns(UserWarning, match=r"is damaged: its checksum is not the one in step-\d*8"):
        assert latest(of_an_earlier_version)[0].name == "step-00000004.keras"


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"width": 4}, r"had conv1/kernel \[3, 3, 3, 16\], now conv1/kernel \[3, 3, 3, 32\]"),
        ({"dim": 24}, r"had fc2/kernel \[16, 16\], now fc2/kernel \[16, 24\]"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused_naming_the_difference(other, named, trained):
    path, _ = latest(trained)
    loaded = keras.models.load_model(path)
    checkpoints.check_fits(loaded, make(), path)
    with pytest.raises(InputError, match=named):
        checkpoints.check_fits(loaded, make(**other), path)


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


def resume(checkpoint, averages, folder):
    """Completes the epoch; returns what it logs."""
    images = np.random.RandomState(0).randint(0, 256, (32, 8, 8, 3), np.uint8)
    model = keras.models.load_model(checkpoint)
    return model.fit(
        views(images, Augmentation.preset("cifar"), 8, start_step=3),
        steps_per_epoch=1,
        shuffle=False,
        verbose=0,
        callbacks=[Checkpoints(folder, resumed={"metrics": averages})],
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


def test_images_are_known_by_what_they_are_wherever_they_lie():
    """The dataset's name, which has the path of a folder in it, does not count."""
    images = {"training images": "60 (00ff)", "test images": "9 (11ee)"}
    info = {"dataset": "folder:/a, 60 training images", "fingerprints": images}
    checkpoints.check_images(info, "folder:/b, 60 training images", images, "cannot resume")
    others = [{**images, "training images": "60 (aaaa)"}, {"training images": "60 (00ff)"}]
    for other, said in zip(others, ["60 (00ff), now 60 (aaaa)", "9 (11ee), now none"], strict=True):
        with pytest.raises(InputError, match=f"the images differ .* were {re.escape(said)}"):
            checkpoints.check_images(info, info["dataset"], other, "cannot resume")


def test_images_of_a_checkpoint_of_before_fingerprints_are_known_by_their_description():
    info = {"dataset": "noise, 60 training images"}
    checkpoints.check_images(info, info["dataset"], {"training images": "60 (00ff)"}, "no")
    with pytest.raises(InputError, match="no: dataset was noise, 60 training images, now other"):
        checkpoints.check_images(info, "other", {}, "no")
