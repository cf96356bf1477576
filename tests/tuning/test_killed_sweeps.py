"""A sweep that is killed at any moment ends, by the same command, as the unbroken one."""

import csv
import os
import signal

import pytest
import tensorflow as tf
from helpers import write_image
from helpers.killed import Runner

# Two trials of two epochs of three steps.
TINY = ["rates.yaml", "--name", "mine", "--preset", "photo_patches", "--deterministic"]
TINY += ["--width", "4", "--projector-dim", "8", "--projector-layers", "2", "--batch-size", "8"]
TINY += ["--epochs", "2", "--knn-every", "0"]
SWEEP = "runs/sweeps/mine"
MID_EPOCH = "keras_simsiam.training.callbacks:StopOnBadLoss.on_train_batch_end 11"
"""In the second epoch of the second trial."""

CHANGES = {
    "settings of the sweep": (f"rename {SWEEP}/config.yaml", 1),
    "start of a trial": (f"rename {SWEEP}/trials/0000.json", 1),
    "settings of a trial": (f"rename {SWEEP}/runs/0001/config.yaml", 1),
    "summary of a trial": (f"rename {SWEEP}/runs/0000/summary.json", 1),
    "outcome of a trial": (f"rename {SWEEP}/trials/0000.json", 2),
    "between two trials": (f"rename {SWEEP}/trials/0001.json", 1),
    "table": (f"rename {SWEEP}/results.csv", 1),
    "best encoder": ("rename saved_models/mine", 1),
}
FEW = ["mid epoch", "outcome of a trial"]
ALL = os.environ.get("KERAS_SIMSIAM_ALL_MOMENTS")


class Sweep:
    """A tiny sweep that nothing interrupts, with what comes of it."""

    def __init__(self, runner, root):
        self.runner, self.root = runner, root
        images = root / "images"
        for split, count in (("train", 12), ("val", 4)):
            for label in ("cat", "dog"):
                for i in range(count):
                    seed = sum(map(ord, f"{split}{label}")) + i
                    write_image(images / split / label / f"{i}.png", seed, (16, 16))
        self.argv = [*TINY, "--dataset", f"folder:{images}"]
        (root / "unbroken").mkdir()
        code, printed, self.changes = self(root / "unbroken")
        assert code == 0, printed
        self.results = results(root / "unbroken")

    def __call__(self, cwd, **moment):
        (cwd / "rates.yaml").write_text("training.learning_rate: [0.1, 0.5]\n")
        return self.runner(cwd, *self.argv, **moment)

    def number(self, change, time):
        """The number of the change of such a name that is made for the n-th time."""
        return [i for i, name in enumerate(self.changes, 1) if name == change][time - 1]

    def ends_alike(self, cwd):
        """Has a killed sweep go on, and returns what differs in the end."""
        code, printed, _ = self(cwd)
        assert code == 0, printed
        found = results(cwd)
        return [name for name, value in self.results.items() if found.get(name) != value]


def results(cwd):
    """What must not depend on interruptions."""
    folder = cwd / SWEEP
    with (folder / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    for row in table:
        for varying in ("attempts", "seconds", "images_per_second"):
            row.pop(varying, None)
    exported = tf.train.load_checkpoint(str(cwd / "saved_models/mine/variables/variables"))
    names = exported.get_variable_to_shape_map().keys() - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    return {
        "table": table,
        "best.yaml": (folder / "best.yaml").read_text(),
        "encoder": {name: exported.get_tensor(name).tobytes() for name in names},
        "histories": [p.read_text() for p in sorted(folder.glob("runs/*/history.csv"))],
    }


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    runner = Runner("tune")
    yield Sweep(runner, tmp_path_factory.mktemp("sweep"))
    runner.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mid epoch", *CHANGES] if ALL else FEW)
def test_a_killed_sweep_ends_bit_for_bit_as_the_unbroken_one(name, sweep, tmp_path):
    at = MID_EPOCH if name == "mid epoch" else sweep.number(*CHANGES[name])
    code, printed, _ = sweep(tmp_path, at=at)
    assert code == -signal.SIGKILL, printed
    assert sweep.ends_alike(tmp_path) == []
    log = (tmp_path / SWEEP / "trials/0001.log").read_text()
    assert ("going on from" in log) == (name == "mid epoch")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("send", "exits", "said"),
    [("SIGTERM", 0, "preempted"), ("SIGHUP", 0, "preempted"), ("SIGINT", 130, "interrupted")][
        : None if ALL else 1
    ],
)
def test_a_signal_ends_a_sweep_with_a_checkpoint_from_which_it_goes_on(
    send, exits, said, sweep, tmp_path
):
    code, printed, _ = sweep(tmp_path, at=MID_EPOCH, send=send)
    assert code == exits, printed
    said += ": a checkpoint of step 5 is saved; the same command continues"
    assert printed.splitlines()[-1] == said
    assert sweep.ends_alike(tmp_path) == []
    log = (tmp_path / SWEEP / "trials/0001.log").read_text()
    assert "checkpoints/step-00000005.keras" in log
