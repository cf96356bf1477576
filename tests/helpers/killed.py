"""Runs commands in processes that kill themselves at chosen moments.

`Runner` starts this file as a program, which imports TensorFlow once and forks a process for each
command. Forking is safe as long as TensorFlow has not computed anything.

A moment is

- ``"open runs/run/history.csv 2"``: just before the second time that this file is opened to be
  written. Likewise ``rename`` (by the new name), ``remove``, ``mkdir``, ``link`` and ``rmdir``, for
  every file below the working directory. Python's audit events tell them, so that no write of
  Python's is left out; TensorFlow's own are between them.
- ``"call keras_simsiam.training.record:export_encoder 1"``: just before the first call of a
  function, by the name by which it is called.
"""

from __future__ import annotations

import collections
import functools
import importlib
import json
import os
import signal
import subprocess
import sys

WRITES = {
    "open": "open",
    "os.rename": "rename",
    "os.remove": "remove",
    "os.mkdir": "mkdir",
    "os.link": "link",
    "os.rmdir": "rmdir",
}


class Runner:
    """Runs ``python -m keras_simsiam.train``, with a network that is traced in no time."""

    def __init__(self):
        self.server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, cwd, *argv, at=None, send="SIGKILL"):
        """Runs the command, and returns its exit code, what it printed and its moments.

        Args:
            cwd: Its working directory.
            argv: Its arguments.
            at: The moment at which it sends itself a signal.
            send: The signal.
        """
        request = {"cwd": str(cwd), "argv": argv, "at": at, "signal": send}
        print(json.dumps(request), file=self.server.stdin, flush=True)
        code = int(self.server.stdout.readline())
        with open(f"{cwd}/printed") as printed, open(f"{cwd}/moments") as moments:
            return code, printed.read(), moments.read().splitlines()

    def close(self):
        self.server.stdin.close()
        self.server.wait()


def serve():
    from keras_simsiam import options, train  # noqa: F401
    from keras_simsiam.models.resnet import BACKBONES
    from keras_simsiam.training.run import train as _  # noqa: F401

    BACKBONES.update(dict.fromkeys(BACKBONES, tiny))
    answers = os.dup(1)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            run(request)
        _, status = os.waitpid(pid, 0)
        os.write(answers, b"%d\n" % os.waitstatus_to_exitcode(status))


def tiny(width, stem):
    """A backbone like a ResNet, but small."""
    import keras

    from keras_simsiam.models.resnet import batch_norm

    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(width, 3, 2, use_bias=False, name="conv1")(images)
    x = keras.layers.ReLU()(batch_norm("bn1")(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def run(request):
    """In a process of its own: runs the command, and ends."""
    from keras_simsiam import options, train

    os.chdir(request["cwd"])
    for descriptor in (1, 2):
        os.dup2(os.open("printed", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND), descriptor)
    passed = os.open("moments", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    counts = collections.Counter()

    def moment(name):
        counts[name] += 1
        name = f"{name} {counts[name]}"
        os.write(passed, f"{name}\n".encode())
        if name == request["at"]:
            os.kill(os.getpid(), signal.Signals[request["signal"]])

    def audit(event, args):
        if event not in WRITES or not isinstance(args[0], str | os.PathLike):
            return
        if event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR):
            return
        path = args[1] if event in ("os.rename", "os.link") else args[0]
        path = os.path.relpath(path, request["cwd"])
        if not path.startswith(".."):
            moment(f"{WRITES[event]} {path}")

    if (request["at"] or "").startswith("call "):
        count_calls(request["at"].split()[1], moment)
    sys.addaudithook(audit)
    code = 1
    try:
        sys.argv = ["train", *request["argv"]]
        options.run_command(train.main)
        code = 0
    except SystemExit as e:
        code = e.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def count_calls(name, moment):
    """Makes each call of a function a moment."""
    module, _, path = name.partition(":")
    *owners, last = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    function = getattr(owner, last)

    @functools.wraps(function)
    def counted(*args, **kwargs):
        moment(f"call {name}")
        return function(*args, **kwargs)

    setattr(owner, last, counted)


if __name__ == "__main__":
    serve()
