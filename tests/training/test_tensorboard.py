"""TensorBoard's logs, and how a resumed run continues them."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from keras_simsiam.training.tensorboard import EpochCurves, keep_epochs


def curves(folder):
    """All points in all files, in order: name, epoch and value."""
    return [
        (tag, event.step, float(tensor_util.make_ndarray(event.tensor_proto)))
        for path in sorted(folder.glob("events.*"))
        for events in (EventAccumulator(str(path)).Reload(),)
        for tag in events.Tags()["tensors"]
        for event in events.Tensors(tag)
    ]


def log(folder, epochs):
    callback = EpochCurves(folder)
    for epoch in epochs:
        callback.on_epoch_end(epoch, {"loss": epoch, "minutes_left": 3.0})


def test_each_epoch_is_on_disk_once_it_ends_without_the_minutes_left(tmp_path):
    log(tmp_path, range(3))
    assert curves(tmp_path) == [("epoch_loss", epoch, epoch) for epoch in range(3)]


@pytest.mark.parametrize("killed_while_it_wrote", [False, True])
def test_a_resumed_run_shows_each_epoch_once(killed_while_it_wrote, tmp_path):
    log(tmp_path, range(4))
    (path,) = tmp_path.iterdir()
    if killed_while_it_wrote:
        path.write_bytes(path.read_bytes()[:-5])
    keep_epochs(tmp_path, 2)
    assert [epoch for _, epoch, _ in curves(tmp_path)] == [0, 1]
    log(tmp_path, range(2, 5))
    assert sorted(epoch for _, epoch, _ in curves(tmp_path)) == [0, 1, 2, 3, 4]


def test_logs_of_complete_epochs_are_left_alone(tmp_path):
    log(tmp_path, range(2))
    (path,) = tmp_path.iterdir()
    before = path.stat()
    keep_epochs(tmp_path, 2)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    keep_epochs(tmp_path / "missing", 2)
