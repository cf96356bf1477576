"""The file of a checkpoint: everything that a run needs to resume, with a checksum.

It is a ``.keras`` file, which `keras.models.load_model` reads, with two additions: a member of the
zip with the state of the run as JSON, and the SHA-256 of everything before it as the zip's comment,
which makes it the last 64 bytes of the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import zipfile
from typing import BinaryIO

from keras_simsiam.files import written_atomically
from keras_simsiam.models.base import JointEmbedding

_STATE = "keras_simsiam.json"
_DIGITS = 64


class Damaged(Exception):
    """A checkpoint is not as it was written; the message says what is wrong."""


def write(path: pathlib.Path, model: JointEmbedding, state: dict) -> None:
    """Writes a checkpoint atomically.

    Args:
        path: The file, whose name must end in ``.keras``.
        model: The model; its optimizers are saved, too.
        state: Whatever else the run needs to resume, as values for JSON.
    """
    with written_atomically(path) as partial:
        model.save(partial)
        with zipfile.ZipFile(partial, "a") as file:
            file.writestr(_STATE, json.dumps(state))
            file.comment = b"0" * _DIGITS
        with partial.open("r+b") as file:
            digest = _digest(file, to=-_DIGITS)
            file.seek(-_DIGITS, os.SEEK_END)
            file.write(digest)


def read(path: pathlib.Path) -> dict:
    """The state in a checkpoint, whose checksum is compared.

    Earlier versions wrote the state and the checksum to a JSON file beside the checkpoint.

    Raises:
        Damaged: If the content of the checkpoint does not match its checksum.
        OSError: If the checkpoint cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _DIGITS))
        seal = file.read()
        if size > _DIGITS and _digest(file, to=-_DIGITS) == seal:
            with zipfile.ZipFile(file) as members:
                return json.loads(members.read(_STATE))
        beside = path.with_suffix(".json")
        try:
            state = json.loads(beside.read_text())
            if state["sha256"].encode() == _digest(file):
                return state
        except FileNotFoundError:
            raise Damaged("its content does not match its checksum") from None
        except (ValueError, KeyError, AttributeError, TypeError):
            pass
    raise Damaged(f"its checksum is not the one in {beside.name}")


def _digest(file: BinaryIO, to: int = 0) -> bytes:
    """The SHA-256 of a file up to a position counted from its end, as hexadecimal digits."""
    left = file.seek(to, os.SEEK_END)
    file.seek(0)
    sha256 = hashlib.sha256()
    while chunk := file.read(min(left, 1 << 20)):
        sha256.update(chunk)
        left -= len(chunk)
    return sha256.hexdigest().encode()
