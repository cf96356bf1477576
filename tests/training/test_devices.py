"""Several devices and several processes train as one device does."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from helpers import write_image

from keras_simsiam import InputError, _compat
from keras_simsiam.data.packing import Packing, pack
from keras_simsiam.method_options import METHOD_OPTIONS
from keras_simsiam.training.devices import Devices, make_strategy, op_determinism
from keras_simsiam.workers import Workers

HELPERS = pathlib.Path(__file__).parents[1] / "helpers"
PLAIN_KERAS = """
import keras, numpy as np, tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
with strategy.scope():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
data = tf.data.Dataset.from_tensor_slices((np.ones((8, 3), "f"), np.ones((8, 1), "f"))).batch(4)
model.fit(data.repeat(), steps_per_epoch=1, verbose=0)
"""

TARGET_ON_TWO_DEVICES = """
import keras, tensorflow as tf
import keras_simsiam as ks
from keras_simsiam.models.parts import layers_of
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, 2 * [tf.config.LogicalDeviceConfiguration()])
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    backbone = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D()])
    model = ks.BYOL(backbone, ks.projector(3, 8), ks.predictor(8), steps=9)
normalizing = [
    layer
    for layer in layers_of(model.targets.projector)
    if isinstance(layer, keras.layers.BatchNormalization)
]
assert len(normalizing) == 3
assert all(layer.synchronized for layer in normalizing)
"""


def cluster(count):
    """The environments of the processes of a cluster."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    workers = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    for i in range(count):
        task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}}
        yield {**os.environ, "TF_CONFIG": json.dumps(task)}


def slurm_job(count):
    """The same, as `srun` sets them."""
    for i in range(count):
        job = {"JOB_ID": 30_000 + os.getpid(), "PROCID": i, "STEP_NUM_TASKS": count}
        job |= {"STEP_NODELIST": "localhost", "STEP_TASKS_PER_NODE": count}
        yield {**os.environ, **{f"SLURM_{name}": str(value) for name, value in job.items()}}


def run_all(commands, environments, cwd, timeout=280):
    """Runs processes in parallel; returns their exit codes and what they printed."""
    processes = [
        subprocess.Popen(
            c, cwd=cwd, env=e, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for c, e in zip(commands, environments, strict=True)
    ]
    try:
        printed = [p.communicate(timeout=timeout)[0] for p in processes]
    finally:
        for p in processes:
            p.kill()
    return [p.returncode for p in processes], printed


def train(mode, dtype, cwd, steps, *methods):
    count = 1 if mode in ("none", "mirrored") else 2
    environments = {"multi_worker": cluster, "slurm": slurm_job}.get(mode, lambda _: [os.environ])
    # oneDNN's convolutions of half a batch round differently from those of all of it.
    environments = [{**e, "TF_ENABLE_ONEDNN_OPTS": "0"} for e in environments(count)]
    outputs = [cwd / f"{mode}{i}.npz" for i in range(count)]
    strategy = "multi_worker" if mode == "slurm" else mode
    command = [sys.executable, str(HELPERS / "parity.py"), strategy, dtype]
    commands = [[*command, str(out), str(steps), *methods] for out in outputs]
    codes, printed = run_all(commands, environments, cwd)
    assert codes == [0] * count, printed[0][-2000:]
    return [dict(np.load(out)) for out in outputs]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "tolerance", "processes"),
    [("float64", 1e-10, "slurm"), ("float32", 1e-5, "multi_worker")],
)
def test_two_devices_and_two_processes_take_the_steps_of_one(dtype, tolerance, processes, tmp_path):
    (one,) = train("none", dtype, tmp_path, 50, "simsiam")
    losses = one["simsiam/logs"][:, 0]
    assert len(losses) == 50
    assert losses[-1] < losses[0] - (0.1 if dtype == "float64" else 0.01)
    for mode in ("mirrored", processes):
        for found in train(mode, dtype, tmp_path, 50, "simsiam"):
            check_equal(found, one, tolerance)


@pytest.mark.slow
def test_a_batch_that_leaves_two_devices_unequal_has_the_loss_of_one(tmp_path):
    command = [sys.executable, str(HELPERS / "uneven.py")]
    (code,), (printed,) = run_all([command], [os.environ], tmp_path)
    assert code == 0, printed[-2000:]
    found = dict(line.split() for line in printed.splitlines()[-4:])
    assert [*found] == ["simclr", "barlow_twins", "vicreg", "swav"]
    assert max(map(float, found.values())) < 1e-5


@pytest.mark.slow
def test_two_devices_and_two_processes_compare_the_images_of_the_whole_batch(tmp_path):
    """Negatives, queue, codes, covariances and targets are those of one device, of more views
    than two, too."""
    methods = ("images", "keras", *(m for m in METHOD_OPTIONS if m != "simsiam"))
    (one,) = train("none", "float64", tmp_path, 8, *methods)
    assert len(one) == 2 * len(methods)
    for mode in ("mirrored", "multi_worker"):
        # On Keras 2, the statistics of its own BatchNorm cannot be read by one worker alone.
        able = [m for m in methods if m != "keras" or mode == "mirrored" or _compat.KERAS_3]
        for found in train(mode, "float64", tmp_path, 8, *able):
            check_equal(found, {k: v for k, v in one.items() if k.split("/")[0] in able}, 1e-10)


def check_equal(found, expected, tolerance):
    """Compares the logs and weights of each method."""
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if key.endswith("logs"):
            np.testing.assert_allclose(
                found[key], value, rtol=tolerance, atol=tolerance, err_msg=key
            )
        else:
            difference = np.linalg.norm(found[key] - value)
            assert difference < tolerance * np.linalg.norm(value), key


def test_batch_norm_of_a_target_network_sees_the_batch_of_all_devices(tmp_path):
    command = [sys.executable, "-c", TARGET_ON_TWO_DEVICES]
    (code,), (printed,) = run_all([command], [os.environ], tmp_path)
    assert code == 0, printed[-2000:]


@pytest.mark.slow
@pytest.mark.skipif(not _compat.KERAS_3, reason="Keras 2's own fit works with several workers")
def test_keras_own_fit_still_fails_with_several_workers(tmp_path):
    """When this fails, `_compat.keras3.Model` is no longer needed."""
    commands = [[sys.executable, "-c", PLAIN_KERAS]] * 2
    codes, printed = run_all(commands, list(cluster(2)), tmp_path)
    assert codes != [0, 0]
    assert "Error" in printed[0] + printed[1]


@pytest.mark.slow
def test_the_chief_of_two_workers_writes_and_both_resume_after_one_is_killed(tmp_path):
    command = [sys.executable, str(HELPERS / "backbones.py"), "train", "--strategy", "multi_worker"]
    command += ["--width", "2", "--projector-dim", "16", "--batch-size", "300", "--epochs", "3"]
    command += ["--knn-every", "0", "--checkpoint-every", "0.001", "--name", "run"]
    environments = list(cluster(2))
    processes = [
        subprocess.Popen(
            command,
            cwd=tmp_path,
            env=e,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for e in environments
    ]
    checkpoints = tmp_path / "runs/run/checkpoints"
    deadline = time.monotonic() + 200
    while not any(int(p.stem[5:]) >= 20 for p in checkpoints.glob("step-*.keras")):
        assert time.monotonic() < deadline
        assert processes[0].poll() is None
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGKILL)
    processes[1].communicate()
    printed, _ = processes[0].communicate(timeout=120)
    assert processes[0].returncode == 1
    assert "Traceback" not in printed
    assert "error: another worker is gone; restart all workers with --resume" in printed
    codes, printed = run_all([[*command, "--resume"]] * 2, list(cluster(2)), tmp_path)
    assert codes == [0, 0], printed
    summary = json.loads((tmp_path / "runs/run/summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("finished", 54)
    assert "kNN top-1, random weights" in printed[0]
    assert "kNN top-1" not in printed[1]
    events = (tmp_path / "runs/run/tensorboard").rglob("events.*")
    assert len({path.name.split(".")[5] for path in events}) == 2  # the chief's, before and after


@pytest.mark.slow
def test_two_workers_stopped_on_records_go_on_as_one_as_if_never_stopped(tmp_path):
    for i in range(120):
        write_image(tmp_path / f"in/{i:03}.png", i, (20 + i % 3, 24))
    pack(f"folder:{tmp_path}/in", str(tmp_path / "out"), Packing(shard_size=30))
    command = [sys.executable, str(HELPERS / "backbones.py"), "train", "--dataset", "records:out"]
    command += ["--width", "2", "--image-size", "16", "--projector-dim", "16", "--epochs", "40"]
    command += ["--batch-size", "30", "--knn-every", "0"]
    whole, parts = ([*command, "--name", name] for name in ("whole", "parts"))
    alone = [{**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}]
    together = [{**e, **alone[0]} | {"TF_CONFIG": e["TF_CONFIG"]} for e in cluster(2)]
    codes, printed = run_all([whole], alone, tmp_path)
    assert codes == [0], printed
    processes = [
        subprocess.Popen([*parts, "--strategy", "multi_worker"], cwd=tmp_path, env=e)
        for e in together
    ]
    history = tmp_path / "runs/parts/history.csv"
    deadline = time.monotonic() + 200
    while not history.exists() or len(history.read_text().splitlines()) < 10:
        assert time.monotonic() < deadline
        assert processes[0].poll() is None
        time.sleep(0.05)
    for process in processes:
        process.send_signal(signal.SIGTERM)
    assert [p.wait(timeout=120) for p in processes] == [0, 0]
    done = len(history.read_text().splitlines()) - 1
    codes, printed = run_all([[*parts, "--resume"]], alone, tmp_path)
    assert codes == [0], printed
    losses = [
        np.genfromtxt(tmp_path / f"runs/{name}/history.csv", delimiter=",", names=True)["loss"]
        for name in ("whole", "parts")
    ]
    # Before the stop, the average of the interrupted epoch is of the chief's own images.
    np.testing.assert_allclose(*(np.delete(loss, done) for loss in losses), rtol=1e-3)


@pytest.mark.slow
def test_two_workers_share_the_evaluations_and_find_what_one_does(tmp_path):
    for i in range(90):
        split = "train" if i < 60 else "val"
        write_image(tmp_path / f"in/{split}/{'ab'[i % 2]}/{i:03}.png", i, (20, 24 + i % 2))
    program = [sys.executable, str(HELPERS / "backbones.py")]
    train = ["train", "--dataset", "folder:in", "--width", "2", "--image-size", "16"]
    train += ["--projector-dim", "16", "--epochs", "3", "--batch-size", "30", "--knn-k", "9"]
    evaluate = ["evaluate", "--dataset", "folder:in", "--saved-model", "saved_models/alone"]
    evaluate += ["--probe", "knn", "linear", "--linear-epochs", "3", "--linear-batch-size", "20"]
    evaluate += ["--linear-augment"]
    alone = [{**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}]
    for command, option in ((train, "--name"), (evaluate, "--output")):
        codes, printed = run_all([[*program, *command, option, "alone"]], alone, tmp_path)
        assert codes == [0], printed
        shared = [*program, *command, option, "shared", "--strategy", "multi_worker"]
        together = [{**e, **alone[0], "TF_CONFIG": e["TF_CONFIG"]} for e in cluster(2)]
        codes, printed = run_all([shared] * 2, together, tmp_path)
        assert codes == [0, 0], printed
        assert "top-1" in printed[0]
        assert "top-1" not in printed[1]
    one, two = (
        np.genfromtxt(tmp_path / f"runs/{name}/history.csv", delimiter=",", names=True)
        for name in ("alone", "shared")
    )
    np.testing.assert_array_equal(two["knn_top1"], one["knn_top1"])
    one, two = (
        json.loads((tmp_path / f"{name}/evaluation.json").read_text())["results"]
        for name in ("alone", "shared")
    )
    assert [r["probe"] for r in one] == ["knn", "linear"]
    assert two == one


@pytest.mark.slow
@pytest.mark.parametrize("refusing", [0, 1])
def test_what_one_of_two_workers_refuses_ends_the_other_with_its_line(refusing, tmp_path):
    command = [sys.executable, "-m", "keras_simsiam.train", "--strategy", "multi_worker"]
    (tmp_path / "runs/run").mkdir(parents=True)
    if refusing == 0:  # the chief, which alone looks at the folder
        (tmp_path / "runs/run/config.yaml").write_text("model: {width: 4}")
        said = "error: 'runs/run' exists and is not finished; choose another --name, --resume "
    else:
        said = "error: folder 'elsewhere' does not exist"
    commands = [[*command, "--name", "run"] for _ in range(2)]
    commands[1] += ["--dataset", "folder:elsewhere"] if refusing else []
    codes, printed = run_all(commands, list(cluster(2)), tmp_path)
    assert codes == ([2, 1] if refusing == 0 else [1, 2]), printed
    for text in printed:
        assert "Traceback" not in text
        assert text.splitlines()[-1].startswith(said)


def test_a_batch_size_that_the_devices_cannot_share_is_refused(tmp_path):
    command = [sys.executable, "-m", "keras_simsiam.train", "--batch-size", "63"]
    command += ["--strategy", "mirrored", "--logical-devices", "2"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 2
    assert "error: batch_size must be a multiple of 2, the number of devices; got 63" in run.stderr
    assert not any(tmp_path.iterdir())


def test_one_device_has_the_default_strategy_and_its_process_is_the_chief():
    assert make_strategy(Devices()).num_replicas_in_sync == 1
    assert Workers(make_strategy(Devices("none"))).chief


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (None, "needs a Slurm job or TF_CONFIG"),
        ("{", "TF_CONFIG must be a JSON object, such as .*; got '{'"),
        ("[]", "be a JSON object"),
        ("", "be a JSON object"),
        ('{"cluster": {}}', 'have a "cluster" of workers'),
        ('{"cluster": {"ps": ["a:1"]}}', "have workers, and a chief at most"),
        ('{"cluster": {"worker": "a:1"}}', "list addresses"),
        ('{"cluster": {"worker": ["a:99999"]}}', "HOST:PORT"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}}', "have each address once"),
        ('{"cluster": {"worker": ["a:1"]}, "task": []}', 'have a "task"'),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "x", "index": 0}}', "task type of"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "task index"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}', "task index"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}', "task index of"),
    ],
)
def test_a_missing_or_invalid_cluster_is_an_error(config, named, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    if config is None:
        monkeypatch.delenv("TF_CONFIG", raising=False)
    else:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(InputError, match=named):
        make_strategy(Devices("multi_worker"))


def test_unknown_strategies_and_late_logical_devices_are_errors():
    with pytest.raises(
        InputError, match="strategy must be one of auto, none, mirrored, multi_worker; got 'ddp'"
    ):
        Devices("ddp")
    with pytest.raises(InputError, match="logical_devices must be at least 1; got 0"):
        Devices(logical_devices=0)
    make_strategy(Devices())
    tf.config.list_logical_devices()
    with pytest.raises(InputError, match="must be set before TensorFlow is used; got 3"):
        make_strategy(Devices(logical_devices=3))


def test_op_determinism_ends_with_its_block_unless_it_was_enabled_before():
    config = pytest.importorskip("tensorflow.python.framework.config")
    with op_determinism(False):
        assert not config.is_op_determinism_enabled()
    with contextlib.suppress(KeyboardInterrupt), op_determinism(True):
        assert config.is_op_determinism_enabled()
        raise KeyboardInterrupt
    assert not config.is_op_determinism_enabled()
    tf.config.experimental.enable_op_determinism()
    try:
        with op_determinism(True):
            pass
        assert config.is_op_determinism_enabled()
    finally:
        config.disable_op_determinism()
