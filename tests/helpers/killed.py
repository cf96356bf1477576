"""Runs commands in processes that kill themselves at chosen moments.

`Runner` starts this file as a program, which imports TensorFlow once and forks a process for each
command. Forking is safe as long as TensorFlow has not computed anything.

A moment is

- the number of a change below the working directory, from 1: just before a file is opened to be
  written, renamed, linked or removed, or a folder made or removed. Python's audit events tell of
  them, so that no write of Python's is left out; TensorFlow's own are between them;
- ``"rename runs/run/config.yaml"``: just before the first change of that name;
- ``"keras_simsiam.training.record:exporting 1"``: just before the first call of a function, by
  the name by which it is called.

With ``"all"`` the process goes on, and before each change copies what a kill would leave.

What happens then is a signal, or two (``SIGINT twice``), or ``full``: the disk ``disk`` gets full.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
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


busy: list[bool] = []
"""Not empty while this program changes files itself."""


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

    def __call__(self, *args, **kwargs):
        """Runs a command, see `start`, and returns what `wait` does."""
        return self.wait(self.start(*args, **kwargs))

    def start(self, cwd, *argv, at=None, send="SIGKILL", env=(), who=0, closed=False):
        """Starts a command, and returns its number.

        Args:
            cwd: Its working directory.
            argv: Its arguments.
            at: The moment at which something happens to it.
            send: What happens.
            env: Environment variables.
            who: Its number, if there are several in the same folder.
            closed: Whether nobody reads what it prints.
        """
        request = {"cwd": str(cwd), "argv": argv, "at": at, "send": send, "env": dict(env)}
        return self._ask({**request, "who": who, "closed": closed}), cwd, who

    def wait(self, started):
        """The exit code of a command, what it printed and the changes it made."""
        number, cwd, who = started
        code = self._ask({"wait": number})
        with open(f"{cwd}/printed{who}") as printed, open(f"{cwd}/changes{who}") as changes:
            return code, printed.read(), changes.read().splitlines()

    def _ask(self, request):
        print(json.dumps(request), file=self.server.stdin, flush=True)
        return int(self.server.stdout.readline())

    def close(self):
        self.server.stdin.close()
        self.server.wait()


IMPORTED = {"train": "keras_simsiam.training.run", "tune": "keras_simsiam.tuning.tuner"}
"""What a command imports when it has parsed its options."""


def serve(command):
    importlib.import_module(IMPORTED[command])
    from keras_simsiam.models.resnet import BACKBONES

    BACKBONES.update(dict.fromkeys(BACKBONES, tiny))
    cut_few_patches()
    draw_once()
    gc.freeze()  # what is there now is not looked through again by each process
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where the tests run under nohup
    answers = os.dup(1)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork() or run(command, request)
        os.write(answers, b"%d\n" % answer)


def cut_few_patches():
    """Has the processes train on two patches of each photograph, which are here already."""
    from keras_simsiam.data import photo_patches

    photo_patches.PER_PHOTO = {"train": 2, "test": 1}
    photo_patches.read = functools.cache(photo_patches.read)
    for split in ("train", "validation"):
        photo_patches.read("photo_patches", split, None)


def draw_once():
    """Draws a figure, for which matplotlib looks up fonts."""
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().set_title("title")
    figure.savefig(os.devnull, format="png")


def tiny(width, stem, channels):
    """A backbone like a ResNet, but small."""
    import keras

    from keras_simsiam.models.batch_norm import batch_norm

    images = keras.Input((None, None, channels))
    x = keras.layers.Conv2D(width, 3, 2, use_bias=False, name="conv1")(images)
    x = keras.layers.ReLU()(batch_norm("bn1")(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def run(command, request):
    """In a process of its own: runs the command, and ends."""
    import tensorflow as tf

    from keras_simsiam import options

    at, who = request["at"], request["who"]
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    # Graphs as small as these take longer to optimize than to compute.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    printed = os.open(f"printed{who}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    os.dup2(printed, 2)
    os.dup2(unread_pipe() if request["closed"] else printed, 1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if started with "&"
    changes = os.open(f"changes{who}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    count = itertools.count(1)
    acted: list[bool] = []

    def act():
        if acted:
            return
        acted.append(True)
        if request["send"] == "full":
            fill_the_disk()
            return
        name, *twice = request["send"].split()
        for _ in (name, *twice):
            os.kill(os.getpid(), signal.Signals[name])

    def audit(event, args):
        if busy or event not in CHANGES or not isinstance(args[0], str | os.PathLike):
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
        change = f"{CHANGES[event]} {below}"
        os.write(changes, f"{change}\n".encode())
        number = next(count)
        if at in (number, change):
            act()
        elif at == "all":
            copy_what_is_there(number)

    if isinstance(at, str) and ":" in at:
        before_call(*at.split(), act)
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
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)


def unread_pipe():
    """A pipe that nobody reads from, as of ``| head`` once it has ended."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def fill_the_disk():
    """Leaves no room in the folder ``disk``, which must be a disk of its own."""
    busy.append(True)
    with open("disk/filler", "wb", buffering=0) as file:
        for size in (1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as e:
                if e.errno != errno.ENOSPC:
                    raise
    busy.clear()


def copy_what_is_there(number):
    """Copies the working directory to ``NUMBER`` in the folder ``copies`` beside it.

    Not if it was copied before: half-written files, which nothing ever reads, may differ.
    """
    busy.append(True)
    here = pathlib.Path.cwd()
    state = frozenset(
        (path.relative_to(here), ".partial." in path.name or path.is_dir() or path.read_bytes())
        for folder in ("runs", "saved_models")
        for path in here.glob(f"{folder}/**/*")
    )
    if state not in copied:
        copied.add(state)
        shutil.copytree(here, here.parent / "copies" / str(number))
    busy.clear()


copied: set[frozenset] = set()
"""The states that were copied."""


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
