"""Few labels, with an encoder and without."""

import numpy as np
import pytest
from helpers.backbones import tiny

from experiments import common, judging, transfer
from keras_simsiam import InputError, Run
from keras_simsiam.data import Dataset
from keras_simsiam.preprocessing import Preprocessing


def test_labels_are_worth_what_the_curve_without_needs_for_the_same_accuracy(monkeypatch, tmp_path):
    curves = {
        "SimSiam": {10: [0.5, 0.7], 100: [0.95, 0.95], 1000: [0.96, 0.96]},
        "from scratch": {10: [0.2, 0.2], 100: [0.5, 0.5], 1000: [0.9, 0.9]},
        "raw pixels": {10: [0.4, 0.4], 100: [0.4, 0.4], 1000: [0.4, 0.4]},
    }
    assert transfer.worth(0.7, {10: 0.4, 100: 0.5, 1000: 0.9}) == pytest.approx(10**2.5)
    monkeypatch.setattr(common, "HERE", tmp_path)
    (tmp_path / "figures").mkdir()
    transfer.publish("run_on_digits", Run(), "digits", [0, 1], curves, 1.0)
    read = transfer.read(tmp_path / "results/transfer/run_on_digits.csv")
    assert read == curves
    assert transfer.in_words(read) == [
        "10 labels with SimSiam are worth 178 without",
        "100 labels with SimSiam are worth more than 1,000 without",
    ]
    worse = {**read, "SimSiam": {10: [0.1], 100: [0.6], 1000: [0.9]}}
    assert transfer.in_words(worse) == [
        "10 labels with SimSiam are worth at most 10 without",
        "100 labels with SimSiam are worth 178 without",
    ]
    judged = judging.few_labels([])
    assert judged.verdict == "reproduced"
    assert (tmp_path / f"figures/{judged.figures[0]}.png").exists()


def test_digits_are_split_and_a_network_learns_them_from_scratch(monkeypatch):
    train, test = transfer.digits()
    assert (len(train.images), len(test.images), train.images.dtype) == (1347, 450, np.uint8)
    assert train.images.max() == 255
    monkeypatch.setattr(transfer, "STEPS", 30)
    two = [
        Dataset(d.images[d.labels < 2], d.labels[d.labels < 2], ("0", "1")) for d in (train, test)
    ]
    accuracy = transfer.scratch(tiny(), Preprocessing(8), *two, rate=0.1, seed=0)
    assert accuracy > 0.9


def test_transfer_needs_a_run():
    with pytest.raises(InputError, match="run must be the folder of a run; got 'nowhere'"):
        transfer.main(["--run", "nowhere"])
