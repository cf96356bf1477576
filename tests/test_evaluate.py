"""The evaluation command against the accuracy worked out in Python."""

import numpy as np
import pytest
from helpers import write_image

from keras_simsiam import evaluate, export_encoder, knn_accuracy, load, options, resnet18
from keras_simsiam.evaluation import extract, model_encoder


@pytest.fixture(scope="module")
def backbone():
    return resnet18(width=2)


@pytest.fixture(scope="module")
def exported(backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "encoder"
    export_encoder(backbone, path, image_size=32)
    return path


def command(*argv):
    with pytest.raises(SystemExit) as caught:
        options.run_command(lambda _: evaluate.main(argv))
    return caught.value.code


@pytest.mark.parametrize("k", [200, 5])
def test_accuracy_is_that_of_the_features(k, backbone, exported, capsys):
    argv = ("--saved-model", str(exported), "--dataset", "photo_patches", "--knn-k", str(k))
    assert command(*argv) == 0
    printed = capsys.readouterr().out
    train, test = load("photo_patches", "train"), load("photo_patches", "test")
    bank, queries = (extract(model_encoder(backbone, 32), d.images, 32) for d in (train, test))
    expected = knn_accuracy(bank, train.labels, queries, test.labels, k)
    assert f"kNN top-1  {expected.top1:.2%}" in printed
    assert f"kNN top-5  {expected.top5:.2%}" in printed
    assert "5,400 training images, 1,080 test images" in printed


def test_k_is_capped_with_a_warning_where_the_bank_is_smaller(exported, tmp_path, capsys):
    for split, label, i in np.ndindex(2, 2, 6):
        write_image(tmp_path / ("train", "val")[split] / "ab"[label] / f"{i}.png", i)
    with pytest.warns(UserWarning, match="k=200 is more than the bank holds; using 12"):
        assert command("--saved-model", str(exported), "--dataset", f"folder:{tmp_path}") == 0
    assert "kNN top-1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--saved-model", "nowhere"], "'nowhere' does not exist"),
        (["--saved-model", "{exported}", "--dataset", "mnits"], "'mnits'"),
        (["--saved-model", "{exported}", "--knn-k", "0"], "k ≥ 1"),
        (["--saved-model", "{exported}", "--knn-temperature", "0"], "temperature > 0"),
        ([], "--saved-model"),
        (["--saved-model", "{exported}", "--dataset", "folder:{unlabelled}"], "no labels"),
    ],
)
def test_bad_input_is_one_line_that_names_it(argv, named, exported, tmp_path, capsys):
    for i in range(2):
        write_image(tmp_path / "train" / f"{i}.png", i)
        write_image(tmp_path / "val" / f"{i}.png", i)
    places = {"exported": exported, "unlabelled": tmp_path}
    assert command(*(a.format(**places) for a in argv)) == 2
    error = capsys.readouterr().err.strip()
    assert named in error
    assert "\n" not in error
