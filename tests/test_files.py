"""Atomic writing: the old content or the new, never a part, and nothing left over."""

import contextlib
import errno
import json
import os
import pathlib
import subprocess
import sys

import pytest
from helpers.kills import killed_at

from keras_simsiam import files
from keras_simsiam.errors import CannotWrite, InputError
from keras_simsiam.files import claimed, discard, recover, write_json, written_atomically


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


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_is_written_through_and_stays(kind, tmp_path):
    elsewhere, link = tmp_path / "disk/it", tmp_path / "link"
    link.symlink_to(elsewhere)
    for text in ("old", "new"):
        with written_atomically(link) as partial:
            fill(partial, text) if kind == "folder" else partial.write_text(text)
    assert link.is_symlink()
    assert (elsewhere / "a" if kind == "folder" else elsewhere).read_text() == "new"
    assert sorted(p.name for p in tmp_path.rglob("*") if p.name != "a") == ["disk", "it", "link"]


@pytest.mark.parametrize("name", ["n" * 255, "n" * 248 + ".folder", "ä" * 127])
def test_names_may_be_as_long_as_the_file_system_allows(name, tmp_path):
    path = tmp_path / name
    with claimed(path, beside=True):
        for text in ("old", "new"):
            with written_atomically(path) as partial:
                assert not path.suffix or partial.suffix == path.suffix
                fill(partial, text)
    assert (path / "a").read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("act", ["write", "discard"])
def test_a_folder_is_whole_or_gone_whenever_the_process_is_killed(act, tmp_path):
    path, seen = tmp_path / "it", []

    def write(text="new"):
        with written_atomically(path) as partial:
            partial.mkdir()
            for name in "abc":
                (partial / name).write_text(text)

    for call in range(1, 50):
        write("old")
        killed = killed_at(call, write if act == "write" else lambda: discard(path))
        recover(path)
        assert list(tmp_path.iterdir()) in ([path], [])
        texts = [(path / name).read_text() for name in "abc"] if path.exists() else ["gone"] * 3
        assert len(set(texts)) == 1
        seen.append(texts[0])
        if not killed:
            break
    assert not killed
    assert set(seen) == {"old", "new" if act == "write" else "gone"}
    assert seen[-1] != "old"


def test_what_is_renamed_is_on_the_disk_first(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(os.readlink(f"/proc/self/fd/{fd}")))
    with written_atomically(tmp_path / "it") as partial:
        fill(partial, "text")
    assert flushed == [str(partial), str(partial / "a"), str(tmp_path)]


def test_discarding_removes_a_folder_and_leaves_a_link(tmp_path):
    fill(tmp_path / "it", "text")
    (tmp_path / "link").symlink_to(tmp_path / "it")
    discard(tmp_path / "link")
    assert [p.name for p in tmp_path.iterdir()] == ["link"]
    discard(tmp_path / "link")  # there is nothing left to remove


@pytest.mark.parametrize("beside", [False, True])
def test_a_claim_leaves_nothing_behind_where_nothing_was_written(beside, tmp_path):
    path = tmp_path / "runs/deep/run"
    with claimed(path, beside):
        assert path.exists() != beside
        with pytest.raises(InputError, match="is in use"), claimed(path, beside):
            pass
    assert list(tmp_path.iterdir()) == []
    with claimed(path, beside), written_atomically(path / "config.yaml") as partial:
        partial.write_text("a: 1")
    assert (path / "config.yaml").exists()
    with claimed(path, beside):
        pass
    assert (path / "config.yaml").exists()


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_that_is_a_link_can_be_claimed(exists, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    if exists:
        (tmp_path / "disk").mkdir()
    with claimed(tmp_path / "link"), pytest.raises(InputError), claimed(tmp_path / "disk"):
        pass
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("file/run", "file' must be a folder; it is a file"),
        ("file/sub/run", "file' must be a folder; it is a file"),
        ("/proc/nowhere/run", "cannot write to '/proc/nowhere/run': "),
        ("n" * 256 + "/run", "File name too long"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_one_line(path, said, beside, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=said) as error, claimed(tmp_path / path, beside):
        pass
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("code", "error"),
    [(errno.EACCES, InputError), (errno.EROFS, InputError), (errno.ENOSPC, CannotWrite)],
)
def test_what_the_system_says_of_a_folder_is_one_line(code, error, tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(code, os.strerror(code), "it")

    monkeypatch.setattr(pathlib.Path, "mkdir", refuse)
    with pytest.raises(error, match=f"cannot write to '.*run': {os.strerror(code)}"):
        claimed(tmp_path / "run").__enter__()


def test_a_folder_with_a_lock_that_is_read_only_is_refused(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.lock").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write everywhere
    with (
        pytest.raises(InputError, match=r"cannot write to '.*run': Permission denied"),
        claimed(tmp_path / "run"),
    ):
        pass


def test_a_full_disk_is_known_by_what_any_library_says_of_it():
    full = "No space left on device"
    assert files.why_full(OSError(errno.ENOSPC, "whatever")) == full
    assert files.why_full(RuntimeError(f"/runs/variables; {full} [Op:Save]")) == full
    assert files.why_full(RuntimeError("OOM when allocating tensor")) is None
    assert files.why_full(FileNotFoundError(errno.ENOENT, "gone")) is None
