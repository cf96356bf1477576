"""YAML and JSON that people write, or that a crash has torn."""

import os
import time

import pytest

from keras_simsiam import InputError
from keras_simsiam.documents import MAX_BYTES, from_yaml, named, read_json, read_yaml, to_yaml


def nested(levels, of="[{}]"):
    """Anchors, each of which repeats the one before nine times."""
    first = "a0: &a0 {x: y}\n"
    repeat = (of.format(", ".join([f"*a{i}"] * 9)) for i in range(levels))
    return first + "".join(f"a{i + 1}: &a{i + 1} {text}\n" for i, text in enumerate(repeat))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(nested(12), "it has more than 20,000 values", id="aliases that explode"),
        pytest.param(nested(12, "{{<<: [{}]}}"), "more than 20,000 values", id="merges"),
        ("a: &a [*a]", r"in line 1: '\*a' contains itself"),
        ("a: &a\n  b: {c: *a}", r"in line 2: '\*a' contains itself"),
        ("a: *b", "found undefined alias 'b'"),
        ("a:\n  b: 1\n  c: 2\n  b: 3", "in line 4: 'b' is given twice, first in line 2"),
        ("a: !!python/object/apply:os.system [ls]", "tag '!!python/object/apply:os.system' is not"),
        ("a: !!binary '###'", "the tag '!!binary' is not supported"),
        ("a: !mine 3", "the tag '!mine' is not supported"),
        ("a:\n\tb: 3", "in line 2: .* cannot start any token"),
        ("a: 1\0", "#x0000"),
        pytest.param("a: " + "9" * 5000, "4300 digits", id="a number of 5,000 digits"),
        pytest.param("a: " + "[" * 2000, "nested too deeply", id="deep"),
        pytest.param("- " * 2000, "nested too deeply", id="deep lists"),
        pytest.param("a: [" + "1," * 30_000 + "]", "more than 20,000 values", id="many values"),
        pytest.param(" " * (MAX_BYTES + 1), r"at most 1,048,576 bytes; it has more", id="large"),
        ("", "must contain a mapping, .*; got nothing"),
        ("# nothing", "must contain a mapping, .*; got nothing"),
        ("- a", "must contain a mapping, .*; got a list"),
        ("3: 4", "must contain a mapping, .*; got the key 3"),
        ("{[1]: 2}", "unhashable key"),
        ("a: =", "tag '!!value'|constructor"),
        ("<<: 3", "for merging"),
        ("a: 1\n---\nb: 2", "single document"),
        (b"a: \xe9", "must be UTF-8 text; byte 3 is 0xe9"),
        ("a: 1".encode("utf-16"), "must be UTF-8 text"),
    ],
)
def test_what_is_no_mapping_in_yaml_is_one_line_that_names_the_file(content, said, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=said) as caught:
        read_yaml(path)
    message = str(caught.value)
    assert "mine.yaml'" in message
    assert "\n" not in message
    assert len(message) < 500


def test_what_is_no_file_is_named_and_waited_for_by_nobody(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    started = time.monotonic()
    for path, said in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
        (tmp_path / "pipe", "must contain a mapping"),
        ("/dev/zero", "at most 1,048,576 bytes"),
        ("a\0b", "null byte"),
    ):
        with pytest.raises(InputError, match=said):
            read_yaml(path)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("-1E5", -1e5),
        ("1.0e-05", 1e-5),
        (".inf", float("inf")),
        ("1_000", 1000),
        ("010", 10),
        ("0x10", 16),
        ("0x_", "0x_"),
        ("1:30", "1:30"),
        ("1.2.3", "1.2.3"),
        ("2024-02-31", "2024-02-31"),
        ("yes", True),
        ("~", None),
        ("'1e-3'", "1e-3"),
    ],
)
def test_numbers_are_what_people_write_and_dates_are_text(text, value):
    read = from_yaml(f"a: {text}")["a"]
    assert (read, type(read)) == (value, type(value))


def test_a_byte_order_mark_and_shared_parts_are_read(tmp_path):
    (tmp_path / "a.yaml").write_text("\ufeffa: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n", "utf-8")
    assert read_yaml(tmp_path / "a.yaml") == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}


def test_what_is_written_is_read_as_the_same():
    texts = [
        "1e3",
        "1E-3",
        "010",
        "1:30",
        "2024-01-01",
        "no",
        "null",
        "käse",
        "\udcff",
        "a\nb",
        "😀",
    ]
    values = {"texts": texts, "numbers": [1e-5, 1e300, 3, True, None], "nested": {"a": {}}}
    assert from_yaml(to_yaml(values)) == values


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1', "not valid JSON, so it is damaged"),
        (b"", "not valid JSON"),
        (b"\0" * 100, "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "must contain a JSON object; got list"),
        (b"\xff{}", "must be UTF-8"),
    ],
)
def test_torn_json_is_named(content, said, tmp_path):
    (tmp_path / "summary.json").write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_json(tmp_path / "summary.json")
    assert "summary.json'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_about_the_content_names_the_file():
    with pytest.raises(InputError, match=r"^'run.yaml': epochs must be"), named("run.yaml"):
        raise InputError("epochs must be an integer; got 'x'")
