"""Checkpoints: which are kept, and what is done about those that are damaged or another's."""

import json
import os
import subprocess
import warnings

import keras
import numpy as np
import pytest

from keras_simsiam import (
    Augmentation,
    InputError,
    SimSiam,
    paper_optimizers,
    predictor,
    projector,
    resnet18,
    views,
)
from keras_simsiam.training import checkpoints
from keras_simsiam.training.checkpoints import Checkpoints


def make(width=2, dim=16):
    model = SimSiam(resnet18(width, "cifar"), projector(8 * width, dim, layers=2), predictor(dim))
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
    fit(make(), [log, Checkpoints(folder, describe=lambda: {"dataset": "noise"})], epochs=4)
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    """A copy to damage."""
    subprocess.run(["cp", "-r", str(trained), str(tmp_path / "copy")], check=True)
    return tmp_path / "copy"


def test_the_last_few_and_the_first_best_are_kept_and_no_parts(trained):
    steps = [f"step-{step:08d}" for step in (4, 6, 8)]
    expected = {f"{name}.{kind}" for name in (*steps, "best") for kind in ("keras", "json")}
    assert {p.name for p in trained.iterdir()} == expected
    best = json.loads((trained / "best.json").read_text())
    assert (best["knn_top1"], best["from"]) == (0.5, "step-00000004.keras")
    assert (trained / "best.keras").read_bytes() == (trained / best["from"]).read_bytes()


def test_the_latest_is_given_with_what_was_remembered(trained):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path, info = checkpoints.latest(trained)
    assert path.name == "step-00000008.keras"
    assert info["dataset"] == "noise"
    assert keras.models.load_model(path).steps_done == 8


def truncate(path):
    path.write_bytes(path.read_bytes()[:1000])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip])
def test_a_damaged_one_is_named_and_the_one_before_it_is_taken(damage, folder):
    damage(folder / "step-00000008.keras")
    with pytest.warns(UserWarning, match=r"step-00000008\.keras' is damaged"):
        path, _ = checkpoints.latest(folder)
    assert path.name == "step-00000006.keras"


def test_one_without_its_checksum_is_not_trusted(folder):
    (folder / "step-00000008.json").unlink()
    with pytest.warns(UserWarning, match="damaged"):
        assert checkpoints.latest(folder)[0].name == "step-00000006.keras"


def test_where_none_is_whole_it_says_so(folder):
    for path in folder.glob("step-*.keras"):
        flip(path)
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(InputError, match="none of the 3 checkpoints"),
    ):
        checkpoints.latest(folder)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"width": 4}, r"conv1/kernel \[3, 3, 3, 2\] there, conv1/kernel \[3, 3, 3, 4\] here"),
        ({"dim": 24}, r"there, .* here"),
    ],
)
def test_another_network_is_refused_and_the_difference_named(other, named, trained):
    path, _ = checkpoints.latest(trained)
    loaded = keras.models.load_model(path)
    checkpoints.check_fits(loaded, make(), path)
    with pytest.raises(InputError, match=named):
        checkpoints.check_fits(loaded, make(**other), path)


def test_within_an_epoch_one_is_written_every_few_minutes(tmp_path):
    fit(make(), [Checkpoints(tmp_path, keep=9, minutes=1e-9)], steps=3)
    infos = {p.stem[-1]: json.loads(p.read_text()) for p in tmp_path.glob("step-*.json")}
    assert sorted(infos) == ["1", "2", "3"]
    assert "metrics" in infos["2"]
    assert "metrics" not in infos["3"]  # written at the end of the epoch


def test_averages_of_an_epoch_go_on_where_it_was_cut_off(tmp_path):
    model = make()
    whole = fit(model, [Checkpoints(tmp_path, keep=9, minutes=1e-9)], steps=4).history
    info = json.loads((tmp_path / "step-00000003.json").read_text())
    resumed = keras.models.load_model(tmp_path / "step-00000003.keras")
    images = np.random.RandomState(0).randint(0, 256, (32, 8, 8, 3), np.uint8)
    history = resumed.fit(
        views(images, Augmentation.preset("cifar"), 8, start_step=3),
        steps_per_epoch=1,
        shuffle=False,
        verbose=0,
        callbacks=[Checkpoints(tmp_path, metrics=info["metrics"])],
    ).history
    for name in ("loss", "z_std"):
        assert history[name][0] == pytest.approx(whole[name][0], abs=1e-5)


def can_mount(folder):
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    return os.name == "posix" and subprocess.run(mount, capture_output=True).returncode == 0


def test_a_full_disk_leaves_the_earlier_checkpoints_whole_and_no_part(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if not can_mount(disk):
        pytest.skip("needs the right to mount a small disk")
    try:
        model = make()
        callback = Checkpoints(disk / "checkpoints")
        callback.set_model(model)
        callback.on_epoch_end(0)
        before, _ = checkpoints.latest(disk / "checkpoints")
        size = os.statvfs(disk)
        (disk / "other").write_bytes(b"0" * (size.f_bavail * size.f_bsize - 50_000))
        model.step_counter.assign(1)
        with pytest.raises(OSError, match="No space left"):
            callback.on_epoch_end(1)
        assert checkpoints.latest(disk / "checkpoints")[0] == before
        assert not any((disk / "checkpoints").glob("*partial*"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
