"""What a type checker sees of the package: a misspelt or missing argument is an error."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

import keras_simsiam

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = pathlib.Path(keras_simsiam.__file__).parents[1]


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """Checks a script without our configuration, as a user would; returns what mypy prints."""
    folder = tmp_path_factory.mktemp("mypy")  # with the cache, which one parse of NumPy fills
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("needs mypy: pip install '.[test]'")

    def check(script):
        (folder / "script.py").write_text(script)
        command = [sys.executable, "-m", "mypy", "--no-color-output", "--no-error-summary"]
        command += ["--ignore-missing-imports", "--follow-imports=silent", "script.py"]
        env = dict(os.environ)
        if PACKAGES.name != "site-packages":  # which mypy searches by itself
            env["MYPYPATH"] = str(PACKAGES)
        run = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        assert not run.stderr
        return run.stdout

    return check


def test_the_readmes_scripts_pass(mypy):
    for name in ("own_script", "own_tuner"):
        assert mypy((ROOT / f"experiments/{name}.py").read_text()) == ""


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("ks.SimSiam(1, 2, 3, wrong=4)", 'Unexpected keyword argument "wrong" for "SimSiam"'),
        ('ks.views("abc", batch_sise=3)', 'Unexpected keyword argument "batch_sise" for "views"'),
        ("ks.simsiam", 'Module has no attribute "simsiam"'),
    ],
)
def test_a_wrong_call_is_an_error(call, said, mypy):
    assert said in mypy(f"import keras_simsiam as ks\n\n{call}\n")
