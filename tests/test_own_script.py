"""The README's script for people's own fit: what is printed there runs."""

import pathlib
import subprocess
import sys

from keras_simsiam import load_encoder

ROOT = pathlib.Path(__file__).parents[1]
SCRIPT = (ROOT / "experiments/own_script.py").read_text()


def test_readme_shows_the_script_and_it_is_no_longer_than_30_lines():
    shown = SCRIPT.split('"""', 2)[2].strip()
    assert shown in (ROOT / "README.md").read_text()
    assert len(SCRIPT.strip().splitlines()) <= 30


def test_script_learns_and_exports(tmp_path):
    script = SCRIPT.replace("BATCH, EPOCHS = 64, 5", "BATCH, EPOCHS = 256, 1")
    assert script != SCRIPT
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "kNN top-1 " in run.stdout
    assert load_encoder(tmp_path / "saved_models/own_script")[1] == 32
