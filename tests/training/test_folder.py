"""The folder of a run never replaces anything but an earlier run, and only if asked to."""

import json

import pytest

from keras_simsiam import InputError
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
    with pytest.raises(InputError, match=r"here' exists; .*--resume.*--overwrite"):
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
    with pytest.raises(InputError, match="runs' must be a folder; it is a file"):
        RunFolder(output(), "photo_patches").check_free(False)


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


def test_a_run_without_checkpoint_and_a_finished_one_cannot_be_resumed(output, written, run):
    with pytest.raises(InputError, match=r"cannot resume: .*other' has no checkpoint"):
        RunFolder(output("other"), "photo_patches").check_resumable(run)
    (written.path / "summary.json").write_text(json.dumps({"status": "finished"}))
    with pytest.raises(InputError, match=r"cannot resume: .*here' is finished"):
        written.check_resumable(run)


def test_overwrite_and_resume_exclude_each_other(output):
    with pytest.raises(InputError, match="--overwrite and --resume exclude each other"):
        output(overwrite=True, resume=True)
