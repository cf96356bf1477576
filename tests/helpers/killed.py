"""Runs commands in processes that kill themselves at chosen moments.

`Runner` starts this file as a program, which imports TensorFlow once and forks a process for each
command. Forking is safe as long as TensorFlow has not computed anything.

A moment is

- the number of a change below the working directory, from 1: just before a file is opened to be
  written, renamed, linked or removed, or a folder made or removed. Python's audit events tell of
  them, so that no write of Python's is left out; TensorFlow's own are between them.
- ``"keras_simsiam.training.record:export_encoder 1"``: just before the first call of a function, by
  the name by which it is called.

With ``"all"`` the process goes on, and at each change copies what a kill would leave.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import traceback

CHANGES = {
    "open": "open",
    "os.rename": "rename",
    "os.remove": "remove",
    "os.mkdir": "mkdir",
    "os.link": "link",
    "os.rmdir": "rmdir",
}


copying: list[int] = []
"""Not empty while this program copies files itself."""


class Runner:
    """Runs ``python -m keras_simsiam.COMMAND``, with a network that is traced in no time.

    Args:
        command: ``train`` or ``tune``.
    """

    def __init__(self, command="train"):
        server = [sys.executable, __file__, command]
        self.server = subprocess.Popen(
            server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, cwd, *argv, at=None, send="SIGKILL"):
        """Runs the command, and returns its exit code, what it printed and the changes it made.

        Args:
            cwd: Its working directory.
            argv: Its arguments.
            at: The moment at which it sends itself a signal.
            send: The signal.
        """
        request = {"cwd": str(cwd), "argv": argv, "at": at, "signal": send}
        print(json.dumps(request), file=self.server.stdin, flush=True)
        code = int(self.server.stdout.readline())
        with open(f"{cwd}/printed") as printed, open(f"{cwd}/changes") as changes:
            return code, printed.read(), changes.read().splitlines()

    def close(self):
        self.server.stdin.close()
        self.server.wait()


IMPORTED = {"train": "keras_simsiam.training.run", "tune": "keras_simsiam.tuning.tuner"}
"""What a command imports when it has parsed its options."""


def serve(command):
    importlib.import_module(IMPORTED[command])
    from keras_simsiam.models.resnet import BACKBONES

    BACKBONES.update(dict.fromkeys(BACKBONES, tiny))
    answers = os.dup(1)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            run(command, request)
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


def run(command, request):
    """In a process of its own: runs the command, and ends."""
    from keras_simsiam import options

    os.chdir(request["cwd"])
    for descriptor in (1, 2):
        os.dup2(os.open("printed", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND), descriptor)
    changes = os.open("changes", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    at = request["at"]
    count = itertools.count(1)

    def die():
        os.kill(os.getpid(), signal.Signals[request["signal"]])

    def audit(event, args):
        if copying or event not in CHANGES or not isinstance(args[0], str | os.PathLike):
            return
        path = args[1] if event in ("os.rename", "os.link") else args[0]
        below = os.path.relpath(path, request["cwd"])
        unchanged = {
            "open": event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR),
            "os.mkdir": os.path.exists(path),
            "os.remove": not os.path.lexists(path),
        }
        if below.startswith("..") or unchanged.get(event):
            return
        os.write(changes, f"{CHANGES[event]} {below}\n".encode())
        number = next(count)
        if number == at:
            die()
        elif at == "all":
            copy_what_is_there(number)

    if isinstance(at, str) and at != "all":
        before_call(*at.split(), die)
    sys.addaudithook(audit)
    code = 1
    try:
        sys.argv = [command, *request["argv"]]
        options.run_command(importlib.import_module(f"keras_simsiam.{command}").main)
        code = 0
    except SystemExit as e:
        code = e.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def copy_what_is_there(number):
    """Copies the working directory to ``NUMBER`` in the folder ``copies`` beside it."""
    copying.append(number)
    here = pathlib.Path.cwd()
    shutil.copytree(here, here.parent / "copies" / str(number))
    copying.clear()


def before_call(name, number, act):
    """Has a function act before a certain call of it."""
    module, _, path = name.partition(":")
    *owners, last = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    function = getattr(owner, last)
    count = itertools.count(1)

    @functools.wraps(function)
    def counted(*args, **kwargs):
        if next(count) == int(number):
            act()
        return function(*args, **kwargs)

    setattr(owner, last, counted)


if __name__ == "__main__":
    serve(sys.argv[1])
