"""Resuming: from which checkpoint, and which are refused because they are damaged or do not fit."""

import hashlib
import json
import re
import warnings
import zipfile

import keras
import numpy as np
import pytest
from helpers.checkpointed import make

from keras_simsiam import InputError
from keras_simsiam.training import checkpoint_file, resuming
from keras_simsiam.training.checkpoints import Checkpoints


def latest(folder):
    return next(resuming.intact(folder))


def truncate(path):
    path.write_bytes(path.read_bytes()[:1000])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(data)


def test_the_latest_checkpoint_comes_with_what_was_saved_with_it(trained):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path, info = latest(trained)
    assert path.name == "step-00000008.keras"
    assert info["dataset"] == "noise"
    assert info["keras"] == keras.__version__
    assert keras.models.load_model(path).steps_done == 8


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
        resuming.restore(folder, make())


def test_other_images_are_refused_by_each_process_that_has_them(tmp_path):
    digests = {"training images": "4 (a)", "test images": "2 (b)"}
    saved = Checkpoints(tmp_path, remember=lambda: {"dataset": "d", "fingerprints": digests})
    saved.set_model(make())
    saved.save_within_epoch()
    resuming.check_begun_with(tmp_path, "d", digests)
    with pytest.raises(InputError, match="the images differ from those with which it began"):
        resuming.check_begun_with(tmp_path, "d", {**digests, "test images": "2 (c)"})


def test_a_checkpoint_that_is_not_finite_is_named_and_the_one_before_it_is_used(folder):
    path = folder / "step-00000008.keras"
    model = keras.models.load_model(path)
    model.backbone.get_layer("conv1").kernel.assign(np.full((3, 3, 3, 16), np.inf))
    checkpoint_file.write(path, model, checkpoint_file.read(path))
    with pytest.warns(UserWarning, match=r"step-00000008.*conv1/kernel is not finite"):
        used, _, state = resuming.restore(folder, make())
    assert (used.name, state["step"]) == ("step-00000006.keras", 6)


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
        resuming.restore(folder, make())


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
    path, model, state = resuming.restore(folder, make())
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
    resuming.check_fits(loaded, make(), path)
    with pytest.raises(InputError, match=named):
        resuming.check_fits(loaded, make(**other), path)


def test_images_are_known_by_what_they_are_wherever_they_lie():
    """The dataset's name, which has the path of a folder in it, does not count."""
    images = {"training images": "60 (00ff)", "test images": "9 (11ee)"}
    info = {"dataset": "folder:/a, 60 training images", "fingerprints": images}
    resuming.check_images(info, "folder:/b, 60 training images", images, "cannot resume")
    others = [{**images, "training images": "60 (aaaa)"}, {"training images": "60 (00ff)"}]
    for other, said in zip(others, ["60 (00ff), now 60 (aaaa)", "9 (11ee), now none"], strict=True):
        with pytest.raises(InputError, match=f"the images differ .* were {re.escape(said)}"):
            resuming.check_images(info, info["dataset"], other, "cannot resume")


def test_images_of_a_checkpoint_of_before_fingerprints_are_known_by_their_description():
    info = {"dataset": "noise, 60 training images"}
    resuming.check_images(info, info["dataset"], {"training images": "60 (00ff)"}, "no")
    with pytest.raises(InputError, match="no: dataset was noise, 60 training images, now other"):
        resuming.check_images(info, "other", {}, "no")
