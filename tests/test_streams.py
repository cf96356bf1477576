"""Output that nobody reads does not end a command."""

import io
import os
import sys

import pytest

from keras_simsiam import streams


def test_a_reader_that_is_gone_is_no_error(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "__stdout__", stream)
    with pytest.raises(BrokenPipeError):
        os.write(writer, b"lost")
    with streams.tolerant():
        print("lost", flush=True)
        print("64×64", flush=True)  # ASCII has no ×
        assert not sys.stdout.isatty()
    assert sys.stdout is stream
    stream.close()


def test_a_closed_stream_and_one_of_a_notebook_are_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with streams.tolerant():
        print("lost")
        print("kept", file=sys.stderr)
    assert sys.stdout is None
    assert sys.stderr.getvalue() == "kept\n"


def test_what_an_encoding_lacks_is_replaced_or_escaped(monkeypatch, tmp_path):
    with (
        open(tmp_path / "out", "w", encoding="ascii") as out,
        open(tmp_path / "err", "w", encoding="ascii", errors="backslashreplace") as err,
    ):
        for name, stream in (("stdout", out), ("stderr", err)):
            monkeypatch.setattr(sys, name, stream)
            monkeypatch.setattr(sys, f"__{name}__", stream)
        with streams.tolerant():
            print("64×64 of caf\udce9")  # the name of a file that is not UTF-8
            print("64×64", file=sys.stderr)
    assert (tmp_path / "out").read_text() == "64?64 of caf?\n"
    assert (tmp_path / "err").read_text() == "64\\xd764\n"
