"""The notebook of first steps runs from start to end, and keeps what it printed."""

import json
import pathlib
import re
import shlex
import sys
import types
import unittest.mock

import pytest
from helpers.commands import command

NOTEBOOK = pathlib.Path(__file__).parents[1] / "experiments/first_steps.ipynb"


def cells():
    """The code cells."""
    return [c for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code"]


def test_it_keeps_its_outputs_and_is_small():
    assert NOTEBOOK.stat().st_size < 250_000
    assert [c["execution_count"] for c in cells()] == list(range(1, len(cells()) + 1))
    said = [
        "".join(o.get("text", ()))
        for c in cells()
        for o in c["outputs"]
        if o.get("name") == "stdout"
    ]
    assert "of the images are right" in said[-1]
    assert "/tmp" not in "".join(said)


@pytest.mark.slow
def test_it_runs(tmp_path, monkeypatch, capsys):
    display = types.ModuleType("IPython.display")
    display.Image = lambda path, width: pathlib.Path(path).read_bytes()
    jupyter = {"IPython": types.ModuleType("IPython"), "IPython.display": display}
    monkeypatch.chdir(tmp_path)
    scope = {}
    for cell in cells():
        source = "".join(cell["source"]).replace("np.arange(6), 100", "np.arange(6), 30")
        if source.startswith("!"):
            python, option, module, *argv = shlex.split(source[1:].replace("\\\n", ""))
            assert (python, option) == ("python", "-m")
            argv = ["4" if text == "60" else text for text in argv]  # epochs
            assert command(module.removeprefix("keras_simsiam."), *argv) == 0, source
        else:
            with unittest.mock.patch.dict(sys.modules, jupyter):
                exec(compile(source, "cell", "exec"), scope)
    right = float(re.findall(r"([\d.]+)% of the images are right", capsys.readouterr().out)[-1])
    assert right > 30  # chance is 17
