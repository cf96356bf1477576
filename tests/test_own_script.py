"""The scripts that the READMEs show, for one's own `fit` and tuner, run as printed."""

import json
import pathlib

import pytest

from keras_simsiam import load_encoder

ROOT = pathlib.Path(__file__).parents[1]
SCRIPT = (ROOT / "experiments/own_script.py").read_text()


def test_readme_shows_the_script_and_it_is_no_longer_than_30_lines():
    shown = SCRIPT.split('"""', 2)[2].strip()
    assert shown in (ROOT / "README.md").read_text()
    assert len(SCRIPT.strip().splitlines()) <= 30


def run(script):
    exec(compile(script, "script.py", "exec"), {"__name__": "__main__"})


@pytest.mark.slow
def test_script_learns_and_exports(tmp_path, monkeypatch, capsys):
    script = SCRIPT.replace("BATCH, EPOCHS = 64, 5", "BATCH, EPOCHS = 256, 1")
    assert script != SCRIPT
    monkeypatch.chdir(tmp_path)
    run(script)
    assert "kNN top-1 " in capsys.readouterr().out
    assert load_encoder(tmp_path / "saved_models/own_script").image_size == 32


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_backbones")
def test_own_tuner_searches_batch_size_and_rate_by_knn(tmp_path, monkeypatch):
    script = (ROOT / "experiments/own_tuner.py").read_text()
    shown = script.split('"""', 2)[2].strip()
    assert shown in (ROOT / "keras_simsiam/tuning/README.md").read_text()
    quick = script.replace('training={"epochs": 3}', 'training={"epochs": 1}, model={"width": 4}')
    quick = quick.replace("max_trials=3", "max_trials=2")
    assert quick.count("max_trials=2") == quick.count('"width": 4') == 1
    monkeypatch.chdir(tmp_path)
    run(quick)
    trials = [json.loads(p.read_text()) for p in tmp_path.glob("runs/own_tuner/trial_*/trial.json")]
    assert [t["status"] for t in trials] == ["COMPLETED"] * 2
    for trial in trials:
        assert 0.05 < trial["score"] < 1
        assert {"knn_top1", "loss", "z_std", "projector_rank"} <= set(trial["metrics"]["metrics"])
    values = [tuple(t["hyperparameters"]["values"].values()) for t in trials]
    assert values[0] != values[1]
