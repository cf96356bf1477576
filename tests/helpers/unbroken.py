"""A tiny run that nothing interrupts, to compare with one that was killed."""

import io
import json
import signal
import zipfile

import h5py
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_simsiam import metrics
from keras_simsiam.training import checkpoint_file
from keras_simsiam.training.folder import ENDED

# Four steps in two epochs, a checkpoint after each step, and another one at the end of an epoch.
# The second epoch has the better accuracy.
TINY = ["--preset", "photo_patches", "--name", "run", "--deterministic", "--width", "4"]
TINY += ["--projector-dim", "8", "--projector-layers", "2", "--batch-size", "18", "--epochs", "2"]
TINY += ["--seed", "2", "--learning-rate", "1"]
TINY += ["--knn-every", "1", "--keep-checkpoints", "2", "--checkpoint-every", "0.0000001"]
TINY += ["--jitter-probability", "0", "--grayscale-probability", "0"]


EXIT_CODES = {
    "SIGKILL": [-signal.SIGKILL],
    "SIGTERM": [0, -signal.SIGTERM],  # the latter before there is anything to resume
    "SIGHUP": [0, -signal.SIGHUP],
    "SIGINT": [130],
    "SIGINT twice": [130],
    "full": [1],
}
"""What a process may end with after something happened to it."""


class Unbroken:
    """A run that nothing interrupts, with what comes of it.

    Args:
        runner: A `helpers.killed.Runner`.
        cwd: Where to run it.
        argv: Its arguments, besides `TINY`.
        cluster: Returns the environment variables of each of its processes.
    """

    def __init__(self, runner, cwd, argv=(), cluster=lambda: [{}]):
        self.runner, self.argv, self.cluster = runner, [*TINY, *argv], cluster
        for code, printed, _ in self.run(cwd):
            assert code == 0, printed
        self.results = results(cwd)

    def run(self, cwd, *argv, at=None, send="SIGKILL", to=(0,), **more):
        """Runs all processes, resuming if there is a run, and returns what `Runner.wait` does.

        Args:
            cwd: Where.
            argv: More arguments.
            at: The moment at which something happens.
            send: What happens.
            to: The numbers of the processes that it happens to.
            more: See `Runner.start`.
        """
        begun = any((cwd / "runs/run" / name).exists() for name in (".lock", "config.yaml"))
        argv = [*self.argv, *argv, *(["--resume"] if begun else [])]
        started = []
        for i, env in enumerate(self.cluster()):
            happens = {"at": at, "send": send} if i in to else {}
            started.append(self.runner.start(cwd, *argv, env=env, who=i, **happens, **more))
        return [self.runner.wait(s) for s in started]

    def killed(self, cwd, at, send="SIGKILL", **more):
        """Has a run interrupted at some moments, one after another, and returns `ends_alike`."""
        for moment in [at] if isinstance(at, str) else at:
            self.interrupted(cwd, moment, send, **more)
        return self.ends_alike(cwd)

    def interrupted(self, cwd, at, send="SIGKILL", to=(0,), **more):
        """Has something happen to a run, and returns what its first process printed."""
        done = self.run(cwd, at=at, send=send, to=to, **more)
        for i, (code, printed, _) in enumerate(done):
            assert code in (EXIT_CODES[send] if i in to else (0, 1)), (at, i, code, printed)
            assert "Traceback" not in printed, (at, printed)
        return done[0][1]

    def ends_alike(self, cwd):
        """Has a run go on until it ends, and returns what differs from the unbroken run."""
        if _status(cwd) not in ENDED:
            for code, printed, _ in self.run(cwd):
                if code:
                    return [f"exit code {code}: {printed[-300:]}"]
        found = results(cwd)
        return [name for name, value in self.results.items() if found.get(name) != value]


def _status(cwd):
    summary = cwd / "runs/run/summary.json"
    return json.loads(summary.read_text())["status"] if summary.exists() else None


def results(cwd):
    """What must not depend on interruptions: files by name, and what is in them."""
    folder = cwd / "runs/run"
    last = max(folder.glob("checkpoints/step-*.keras"))
    summary = json.loads((folder / "summary.json").read_text())
    elsewhere = ("summary.json", "exported.json")  # compared below; other in each SavedModel
    names = [p.relative_to(folder) for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    files = [p for p in names if len(p.parts) == 1 and p.name not in elsewhere]
    exported = tf.train.load_checkpoint(str(cwd / "saved_models/run/variables/variables"))
    return {
        "names": sorted({str(p.parent if "tfevents" in p.name else p) for p in names}),
        "weights": _arrays(last),
        "state": checkpoint_file.read(last),
        "best.keras": (
            _arrays(folder / "checkpoints/best.keras"),
            checkpoint_file.read(folder / "checkpoints/best.keras"),
        ),
        "TensorBoard": curves(folder / "tensorboard"),
        "summary.json": {k: v for k, v in summary.items() if metrics.in_history(k)},
        "export": {
            name: exported.get_tensor(name).tobytes()
            for name in exported.get_variable_to_shape_map()
            if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
        },
        **{p.name: (folder / p).read_bytes() for p in files},
    }


def _arrays(checkpoint):
    """The weights in a checkpoint, optimizers included, as bytes by name."""
    found = {}

    def visit(name, item):
        if hasattr(item, "shape"):
            found[name] = item[()].tobytes()

    with zipfile.ZipFile(checkpoint) as members:
        stored = io.BytesIO(members.read("model.weights.h5"))
    with h5py.File(stored) as file:
        file.visititems(visit)
    return found


def curves(folder):
    """All points of all curves but those of time."""
    return sorted(
        (tag, event.step, event.tensor_proto.SerializeToString())
        for path in folder.rglob("events.*")
        for events in (EventAccumulator(str(path), {"tensors": 0}).Reload(),)
        for tag in events.Tags()["tensors"]
        for event in events.Tensors(tag)
        if metrics.in_history(tag.removeprefix("epoch_"))
    )
