"""The folder of a run: never over something else, never another run under its name."""

import json

import pytest

from keras_simsiam import InputError
from keras_simsiam.presets import preset
from keras_simsiam.training.output import Output, RunFolder


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
def test_name_is_the_datasets_where_none_is_given(name, dataset, expected, output):
    assert RunFolder(output(name), dataset).path.name == expected


@pytest.mark.parametrize("name", ["a/b", "..", "-x", "a b"])
def test_names_that_are_no_folders_are_refused(name, output):
    with pytest.raises(InputError, match=f"'{name}'"):
        RunFolder(output(name), "cifar10")


def test_a_run_that_is_there_is_only_replaced_where_asked_to(written):
    with pytest.raises(InputError, match=r"here' exists already; .*--resume.*--overwrite"):
        written.check_free(overwrite=False)
    written.check_free(overwrite=True)
    assert written.has_checkpoint()  # checking deletes nothing


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("where", ["path", "saved_model"])
def test_a_folder_that_no_run_wrote_is_never_replaced(where, overwrite, output):
    folder = RunFolder(output(), "photo_patches")
    place = getattr(folder, where)
    place.mkdir(parents=True)
    folder.check_free(overwrite)  # empty folders are free
    (place / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="was not written by a run"):
        folder.check_free(overwrite)


def test_a_file_in_place_of_the_folder_of_runs_is_named(output, tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(InputError, match="runs' is a file"):
        RunFolder(output(), "photo_patches").check_free(False)


def test_a_run_goes_on_only_as_it_was(written, run):
    written.check_resumable(run)
    run = run.replace(data={"data_dir": "elsewhere"})
    written.check_resumable(run)
    run = run.replace(training={"learning_rate": 0.25})
    with pytest.raises(InputError, match=r"learning_rate is 0\.5 there and 0\.25 here"):
        written.check_resumable(run)


def test_what_cannot_go_on_says_why(output, written, run):
    with pytest.raises(InputError, match="no checkpoint"):
        RunFolder(output("other"), "photo_patches").check_resumable(run)
    (written.path / "summary.json").write_text(json.dumps({"status": "finished"}))
    with pytest.raises(InputError, match="has finished already"):
        written.check_resumable(run)
