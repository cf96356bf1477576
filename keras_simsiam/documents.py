"""Reads and writes YAML and JSON files; what people or crashes did to them is one clear error."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from typing import Any

import yaml

from keras_simsiam.errors import InputError, shown
from keras_simsiam.files import write_text

MAX_BYTES = 2**20
"""The largest YAML file that is read. A run's configuration takes 2 KB."""

_MAX_NODES = 20_000
"""The most keys and values of a YAML file, counting those that aliases repeat."""

_STANDARD = "tag:yaml.org,2002:"

_NUMBERS = {
    f"{_STANDARD}int": r"[-+]?(?:[0-9][0-9_]*|0x[0-9a-fA-F][0-9a-fA-F_]*)$",
    f"{_STANDARD}float": (
        r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
        r"|[0-9][0-9_]*[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
    ),
}
"""What counts as a number, as in YAML 1.2: 1e-3 does, 1:30 does not, and 010 is 10."""


def plain(value: Any) -> Any:
    """A value as it is read again, with lists in place of tuples."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, tuple) else value


def read_yaml(path: str | os.PathLike) -> dict:
    """Reads a YAML file that contains a mapping with names as its keys.

    Dates are read as text. Tags such as ``!!python/object`` and duplicate keys are errors.

    Raises:
        InputError: If the file cannot be read, is larger than `MAX_BYTES`, or contains anything
            else.
    """
    text = _read_text(path, MAX_BYTES)
    try:
        values = from_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        raise InputError(f"'{path}' is not valid YAML{_problem(e)}") from e
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(
            f"'{path}' must contain a mapping, such as 'training: {{epochs: 3}}'; "
            f"got {_kind(values)}"
        )
    return values


def write_yaml(path: str | os.PathLike, values: dict) -> None:
    """Writes a YAML file atomically."""
    write_text(path, to_yaml(values))


def to_yaml(values: dict) -> str:
    """YAML that `read_yaml` reads as the same values."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def from_yaml(text: str) -> Any:
    """The values in YAML text.

    Raises:
        yaml.YAMLError, ValueError, RecursionError: If the text is not valid.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def read_json(path: str | os.PathLike) -> dict:
    """Reads a JSON file that contains an object.

    Raises:
        InputError: If the file cannot be read or contains anything else.
    """
    try:
        values = json.loads(_read_text(path))
    except (ValueError, RecursionError) as e:
        raise InputError(f"'{path}' is not valid JSON, so it is damaged: {e}") from e
    if not isinstance(values, dict):
        raise InputError(f"'{path}' must contain a JSON object; got {type(values).__name__}")
    return values


@contextlib.contextmanager
def named(path: str | os.PathLike) -> Iterator[None]:
    """Prefixes the message of an InputError raised within the block with the name of a file."""
    try:
        yield
    except InputError as e:
        raise type(e)(f"'{path}': {e}") from e


def _read_text(path: str | os.PathLike, max_bytes: int | None = None) -> str:
    try:
        # Without O_NONBLOCK, opening a named pipe that nobody writes to would wait forever.
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
            os.set_blocking(file.fileno(), True)
            content = file.read(-1 if max_bytes is None else max_bytes + 1)
    except OSError as e:
        raise InputError(f"cannot read '{path}': {e.strerror}") from e
    except ValueError as e:  # a NUL in the path
        raise InputError(f"cannot read {str(path)!r}: {e}") from e
    if max_bytes is not None and len(content) > max_bytes:
        raise InputError(f"'{path}' must have at most {max_bytes:,} bytes; it has more")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise InputError(
            f"'{path}' must be UTF-8 text; byte {e.start:,} is {content[e.start]:#04x}"
        ) from e


def _kind(values: Any) -> str:
    """What a file contains instead of a mapping whose keys are names."""
    if isinstance(values, dict):
        return f"the key {shown(next(key for key in values if not isinstance(key, str)))}"
    return "nothing" if values is None else f"a {type(values).__name__}"


def _problem(error: Exception) -> str:
    """What a parser's error says: the line, and what is wrong with it."""
    if isinstance(error, RecursionError):
        return ": it is nested too deeply"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        context = f"{error.context}, " if error.context else ""
        return f" in line {error.problem_mark.line + 1}: {context}{error.problem}"
    return f": {' '.join(str(error).split())}"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader; it also limits what aliases repeat, and rejects duplicate keys."""

    def __init__(self, text: str):
        super().__init__(text)
        self._nodes = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        event = self.peek_event()
        start = self._nodes
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.AliasEvent):
            if node not in self._sizes:
                raise _error(f"'*{event.anchor}' contains itself", event.start_mark)
            self._nodes += self._sizes[node]
        else:
            if event.tag is not None:
                tag = shown(event.tag.replace(_STANDARD, "!!"))
                raise _error(f"the tag {tag} is not supported", event.start_mark)
            self._nodes += 1
            self._sizes[node] = self._nodes - start
        if self._nodes > _MAX_NODES:
            raise _error(f"it has more than {_MAX_NODES:,} values", event.start_mark)
        return node

    def compose_mapping_node(self, anchor: str | None) -> yaml.Node:
        node = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    first = f"first in line {seen[key.value]}"
                    raise _error(f"{shown(key.value)} is given twice, {first}", key.start_mark)
                seen[key.value] = key.start_mark.line + 1
        return node

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node).replace("_", "")
        return int(text, 16 if "x" in text else 10)


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper; it also quotes text that `_Loader` would read as a number."""


def _error(problem: str, mark: yaml.Mark) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


# Dates become text, and YAML 1.1's rules for numbers are replaced by those of YAML 1.2.
_REPLACED = (f"{_STANDARD}timestamp", *_NUMBERS)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in _NUMBERS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(_pattern), list("-+.0123456789"))
_Loader.add_constructor(f"{_STANDARD}int", _Loader.construct_integer)
