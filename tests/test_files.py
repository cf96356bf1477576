"""Atomic writing: the old content or the new, never a part, and nothing left over."""

import contextlib
import json
import subprocess
import sys

import pytest

from keras_simsiam.errors import InputError
from keras_simsiam.files import claimed, write_json, written_atomically


def fill(folder, text):
    folder.mkdir()
    (folder / "a").write_text(text)


def test_a_file_appears_whole_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "new" / "values.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_replaces_the_old_one(tmp_path):
    path = tmp_path / "model"
    for text in ("old", "new"):
        with written_atomically(path) as partial:
            fill(partial, text)
    assert (path / "a").read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_error_while_writing_leaves_what_was_there(kind, tmp_path):
    path = tmp_path / "it"
    write = fill if kind == "folder" else type(path).write_text
    with written_atomically(path) as partial:
        write(partial, "old")
    with contextlib.suppress(KeyboardInterrupt), written_atomically(path) as partial:
        write(partial, "new")
        raise KeyboardInterrupt
    found = path / "a" if kind == "folder" else path
    assert found.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_an_earlier_process_left_is_replaced(tmp_path):
    (tmp_path / ".partial.it").mkdir()
    with written_atomically(tmp_path / "it") as partial:
        partial.write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["it"]


def test_a_folder_has_one_holder_until_that_process_ends(tmp_path):
    code = f"""
from keras_simsiam.files import claimed
with claimed({str(tmp_path / "run")!r}):
    print("held", flush=True)
    input()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(InputError, match="run' is in use by another command"),
        claimed(tmp_path / "run"),
    ):
        pass
    holder.kill()
    holder.wait()
    with claimed(tmp_path / "run"):
        pass
