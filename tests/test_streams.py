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
