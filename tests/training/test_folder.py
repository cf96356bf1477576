"""The folder of a run never replaces anything but an earlier run, and only if asked to."""

import json
import os
import shutil

import pytest
from helpers.kills import killed_at

from keras_simsiam import InputError, Run, files
from keras_simsiam.presets import preset
from keras_simsiam.training.folder import RunFolder
from keras_simsiam.training.output import Output


@pytest.fixture
def output(tmp_path):
    def make(name="here", **kwargs):
        return Output(name, str(tmp_path / "runs"), str(tmp_path / "saved"), **kwargs)

    return make


@pytest.fixture
def run():
    return preset("photo_patches")


@pytest.fixture
def written(output, run):
    """The folder of a run with one checkpoint."""
    folder = RunFolder(output(), "photo_patches")
    folder.create(run, {"knn_top1_raw_pixels": 0.3})
    folder.checkpoints.mkdir()
    (folder.checkpoints / "step-00000084.keras").write_bytes(b"weights")
    return folder


@pytest.mark.parametrize(
    ("name", "dataset", "expected"),
    [
        (None, "photo_patches", "photo_patches"),
        (None, "folder:/home/me/my images", "folder-home-me-my-images"),
        (None, "tfds:imagenette/160px-v2", "tfds-imagenette-160px-v2"),
        ("first.try", "cifar10", "first.try"),
    ],
)
def test_default_name_is_that_of_the_dataset(name, dataset, expected, output):
    assert RunFolder(output(name), dataset).path.name == expected


@pytest.mark.parametrize("name", ["a/b", "..", "-x", "a b"])
def test_invalid_names_are_refused(name, output):
    with pytest.raises(InputError, match=f"--name must consist of .*; got '{name}'"):
        RunFolder(output(name), "cifar10")


def test_an_existing_run_is_replaced_only_with_overwrite(written):
    with pytest.raises(
        InputError, match=r"here' exists and is not finished; .*--resume.*--overwrite"
    ):
        written.check_free(overwrite=False)
    written.check_free(overwrite=True)
    assert written.has_checkpoint()  # checking deletes nothing


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("where", ["path", "saved_model"])
def test_a_folder_not_written_by_a_run_is_never_replaced(where, overwrite, output):
    folder = RunFolder(output(), "photo_patches")
    place = getattr(folder, where)
    place.mkdir(parents=True)
    folder.check_free(overwrite)  # empty folders are free
    (place / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="was not written by a run"):
        folder.check_free(overwrite)


def test_a_file_in_place_of_the_folder_of_runs_is_reported(output, tmp_path):
    (tmp_path / "runs").write_text("a file")
    folder = RunFolder(output(), "photo_patches")
    with pytest.raises(InputError, match="runs' must be a folder; it is a file"), folder.claimed():
        pass


def test_a_run_resumes_only_with_the_same_settings(written, run):
    written.check_resumable(run)
    run = run.replace(data={"data_dir": "elsewhere"})
    written.check_resumable(run)
    moved = [run.replace(data={"dataset": f"folder:/{place}/images"}) for place in "ab"]
    RunFolder.create(written, moved[0], {})
    written.checkpoints.mkdir()
    (written.checkpoints / "step-00000084.keras").write_bytes(b"weights")
    written.check_resumable(moved[1])
    with pytest.raises(InputError, match=r"dataset was folder:/a/images, now photo_patches"):
        written.check_resumable(run)


def test_a_run_resumes_with_the_same_settings_only(written, run):
    run = run.replace(training={"learning_rate": 0.25})
    with pytest.raises(InputError, match=r"cannot resume: learning_rate was 0\.5, now 0\.25"):
        written.check_resumable(run)


def test_settings_that_an_older_run_lacks_have_their_defaults(written, run):
    """A run of before there was a choice of schedule resumes with the schedule it had."""
    config = written.path / "config.yaml"
    lines = config.read_text().splitlines(keepends=True)
    old = [line for line in lines if not line.strip().startswith(("schedule:", "method:"))]
    assert len(old) == len(lines) - 2
    config.write_text("".join(old))
    written.check_resumable(run)
    with pytest.raises(InputError, match="schedule was cosine, now constant"):
        written.check_resumable(run.replace(training={"schedule": "constant"}))


def end(folder, status):
    (folder.path / "summary.json").write_text(json.dumps({"status": status, "saved_model": None}))


def test_a_run_that_ended_and_one_that_never_was_cannot_be_resumed(output, written, run):
    with pytest.raises(InputError, match=r"cannot resume: .*other' has no checkpoint"):
        RunFolder(output("other"), "photo_patches").check_begun()
    written.check_begun()
    for status, said in (("finished", "is finished"), ("collapsed", "had collapsed")):
        end(written, status)
        with pytest.raises(InputError, match=rf"cannot resume: run '.*here' .*{said}"):
            written.check_resumable(run)
        with pytest.raises(InputError, match=rf"{said}; choose another --name, or --overwrite"):
            written.check_free(overwrite=False)


def test_a_run_that_diverged_goes_on_and_says_so(written, run):
    end(written, "diverged")
    with pytest.warns(UserWarning, match="diverged; it continues from a checkpoint before that"):
        written.check_resumable(run)
    files.remove(written.checkpoints)
    with pytest.raises(InputError, match="here' has no checkpoint"):
        written.check_resumable(run)


@pytest.mark.parametrize("left", ["lock", "half of the settings", "empty settings", "settings"])
def test_a_run_killed_before_its_first_checkpoint_can_be_resumed(left, output, run):
    folder = RunFolder(output(), "photo_patches")
    folder.path.mkdir(parents=True)
    (folder.path / ".lock").touch()
    if left == "settings":
        run.save(folder.path / "config.yaml")
    elif left != "lock":
        name = ".partial.config.yaml" if left.startswith("half") else "config.yaml"
        (folder.path / name).write_text("data:" if left.startswith("half") else "")
    folder.check_begun()
    with folder.claimed():
        folder.check_resumable(run)
        assert not folder.has_checkpoint()
        if "settings" not in left or left.startswith("half"):
            folder.check_free(overwrite=False)  # there is nothing to choose about
        folder.create(run, {})
    assert Run.load(folder.path / "config.yaml") == run
    assert {p.name for p in folder.path.iterdir()} == {".lock", "config.yaml", "baselines.json"}


def test_resuming_never_deletes_what_no_run_has_written(output, run):
    folder = RunFolder(output(), "photo_patches")
    with folder.claimed():
        (folder.path / "thesis.txt").write_text("years of work")
        with pytest.raises(InputError, match="was not written by a run"):
            folder.check_resumable(run)


def test_a_run_under_way_has_no_summary(written):
    end(written, "interrupted")
    written.reopen({"knn_top1_raw_pixels": 0.3})
    assert not (written.path / "summary.json").exists()
    assert written.baselines() == {"knn_top1_raw_pixels": 0.3}
    (written.path / "baselines.json").write_text("{")
    assert written.baselines() is None


def test_a_run_replaces_only_the_encoder_that_it_has_exported(written, run):
    written.saved_model.mkdir(parents=True)
    for name in ("saved_model.pb", "fingerprint.pb"):
        (written.saved_model / name).write_text("first")
    with pytest.raises(InputError, match="saved/here' exists and is not this run's"):
        written.check_resumable(run)
    written.mark_exported(written.saved_model)
    written.check_resumable(run)
    (written.saved_model / "fingerprint.pb").write_text("of another run")
    with pytest.raises(InputError, match="saved/here' exists and is not this run's"):
        written.check_resumable(run)


def test_a_run_knows_its_encoder_where_both_were_moved(written, run, tmp_path):
    written.saved_model.mkdir(parents=True)
    for name in ("saved_model.pb", "fingerprint.pb"):
        (written.saved_model / name).write_text("first")
    written.mark_exported(written.saved_model)
    moved = Output("here", str(tmp_path / "moved/runs"), str(tmp_path / "moved/saved"))
    shutil.copytree(written.path, tmp_path / "moved/runs/here")
    shutil.copytree(written.saved_model, tmp_path / "moved/saved/here")
    RunFolder(moved, "photo_patches").check_resumable(run)


@pytest.mark.parametrize("other", ["the same run", "the same SavedModel"])
def test_a_run_is_held_by_one_process(other, output, tmp_path):
    first = RunFolder(output(), "photo_patches")
    runs = tmp_path / ("runs" if other == "the same run" else "elsewhere")
    saved = tmp_path / ("elsewhere" if other == "the same run" else "saved")
    second = RunFolder(Output("here", str(runs), str(saved)), "photo_patches")
    with (
        first.claimed(),
        pytest.raises(InputError, match="here' is in use by another command"),
        second.claimed(),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def everything(folder, run):
    """A finished run with its encoder."""
    with folder.claimed():
        folder.create(run, {"knn_top1_raw_pixels": 0.3})
        for name in ("checkpoints/step-00000084.keras", "tensorboard/train/events", "history.csv"):
            path = folder.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("old")
        os.makedirs(os.path.realpath(folder.saved_model))
        for name in ("saved_model.pb", "fingerprint.pb"):
            (folder.saved_model / name).write_text("old")
        folder.mark_exported(folder.saved_model)
        end(folder, "finished")


@pytest.mark.slow
def test_overwrite_can_be_started_again_whenever_it_is_killed(output, run):
    folder, new = RunFolder(output(), "photo_patches"), run.replace(training={"epochs": 3})

    def overwrite():
        with folder.claimed():
            folder.check_free(overwrite=True)
            folder.create(new, {})

    resumable = 0
    for call in range(1, 100):
        everything(folder, run)
        if not killed_at(call, overwrite):
            break
        with pytest.raises(InputError, match="--overwrite"):
            folder.check_free(overwrite=False)
        if not (folder.path / "summary.json").exists():
            # As the old run, or once its settings are replaced, as the new one.
            folder.check_resumable(Run.load(folder.path / "config.yaml"))
            resumable += 1
        overwrite()
        assert Run.load(folder.path / "config.yaml") == new
        left = {p.name for p in folder.path.iterdir()}
        assert left == {".lock", "config.yaml", "baselines.json"}
        assert not folder.saved_model.exists()
        files.remove(folder.path)
    else:
        pytest.fail("never ran to its end")
    assert resumable > 5


def test_a_folder_that_is_a_link_stays_one(output, run, tmp_path):
    folder = RunFolder(output(), "photo_patches")
    for link in (folder.path, folder.saved_model):
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(tmp_path / "disk" / link.parent.name)
    everything(folder, run)
    with folder.claimed():
        folder.check_free(overwrite=True)
        folder.create(run, {})
    assert folder.path.is_symlink()
    assert folder.saved_model.is_symlink()
    assert (tmp_path / "disk/runs/config.yaml").exists()
    assert not (tmp_path / "disk/saved").exists()


@pytest.mark.parametrize(
    ("runs", "saved"), [("both", "both"), ("runs", "runs/here/sub"), ("saved/here", "saved")]
)
def test_a_run_and_its_encoder_do_not_lie_in_each_other(runs, saved, tmp_path):
    with pytest.raises(InputError, match="must be separate"):
        RunFolder(Output("here", str(tmp_path / runs), str(tmp_path / saved)), "photo_patches")


def test_overwrite_and_resume_exclude_each_other(output):
    with pytest.raises(InputError, match="--overwrite and --resume exclude each other"):
        output(overwrite=True, resume=True)


def test_the_default_name_of_a_long_path_fits_a_file_system_and_has_both_of_its_ends(output):
    for letter in ("a", "é"):
        folder = RunFolder(output(None), f"folder:/first/{letter * 400}/last")
        assert len(folder.path.name.encode()) <= 202
        assert folder.path.name.startswith("folder-first-")
        assert folder.path.name.endswith("-last")
    odd = "folder:/a$b\n🐈 caf\udce9"
    assert RunFolder(output(None), odd).path.name == "folder-a-b-caf"
