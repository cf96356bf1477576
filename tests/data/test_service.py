"""Batches made by the workers of a tf.data service are those made here."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from helpers import write_image

from keras_simsiam import Augmentation, InputError, SmallViews, load, preset, views
from keras_simsiam.data import ImageRecords, in_memory, service
from keras_simsiam.data.shards import Shards
from keras_simsiam.errors import LostWorker
from keras_simsiam.training.devices import Devices
from keras_simsiam.training.output import Output
from keras_simsiam.training.run import train

WORKER = """
import sys
import tensorflow as tf
service = tf.data.experimental.service
worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=sys.argv[1]))
print("ready", flush=True)
worker.join()
"""


@pytest.fixture(scope="module")
def dispatcher():
    return tf.data.experimental.service.DispatchServer()


@pytest.fixture(scope="module")
def workers(dispatcher):
    """Two processes with TensorFlow, without this package."""
    command = [sys.executable, "-c", WORKER, dispatcher.target.partition("://")[2]]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for worker in started:
        assert worker.stdout.readline() == "ready\n"
    yield started
    for worker in started:
        worker.kill()


@pytest.fixture(scope="module")
def images():
    return np.random.RandomState(0).randint(0, 256, (100, 12, 12, 3), np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    for i in range(30):
        write_image(root / f"{i:02}.png", i, (20 + i % 7, 18 + i % 5))
    return load(f"folder:{root}", "train").images


def dataset(source, steps, **options):
    made = views(source, Augmentation(), 12, seed=4, image_size=12, start_step=3, **options)
    return made.take(steps)


def batches(source, steps, **options):
    made = dataset(source, steps, **options)
    return [[np.asarray(x) for x in tf.nest.flatten(batch)] for batch in made]


@pytest.mark.parametrize(("source", "augment_on"), [("images", "device"), ("files", "host")])
def test_two_workers_give_each_batch_once_and_in_order(
    source, augment_on, dispatcher, workers, request
):
    small = SmallViews(count=1, size=8)
    options = {"augment_on": augment_on, "part": (1, 2), "small_views": small}
    source = request.getfixturevalue(source)
    found = batches(source, 40, data_service=dispatcher.target, **options)
    for x, y in zip(found, batches(source, 40, **options), strict=True):
        for a, b in zip(x, y, strict=True):
            np.testing.assert_array_equal(a, b)


def test_batches_that_a_killed_worker_had_are_made_again(images, monkeypatch):
    """The killed worker is the only one at first, so that it surely has batches to lose."""
    monkeypatch.setattr(service, "_PAUSE", 0.01)
    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.partition("://")[2]
    command = [sys.executable, "-c", WORKER, address]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert killed.stdout.readline() == "ready\n"
    expected = batches(images, 300, augment_on="device")
    made = dataset(images, 300, augment_on="device", data_service=dispatcher.target)
    config = tf.data.experimental.service.WorkerConfig(dispatcher_address=address)
    found, other = [], None

    def take_all():
        nonlocal other
        for batch in made:
            found.append([x.numpy() for x in tf.nest.flatten(batch)])
            if len(found) == 20:
                killed.kill()
                other = tf.data.experimental.service.WorkerServer(config)

    with pytest.warns(UserWarning, match=r"lost the batch of step .* requesting it again"):
        take_all()
    for x, y in zip(found, expected, strict=True):
        for a, b in zip(x, y, strict=True):
            np.testing.assert_array_equal(a, b)
    del other


@pytest.fixture
def arriving(monkeypatch):
    """Stands in for the service: what is done to the steps of each request on their way."""
    requests = []
    ways = []
    monkeypatch.setattr(service, "_PAUSE", 0)

    def share_out(*_):
        return lambda steps: ways.pop(0)(steps) if ways else steps

    monkeypatch.setattr(tf.data.experimental.service, "distribute", share_out)

    def numbered(start):
        requests.append(start)
        return tf.data.Dataset.range(start, 40).map(lambda step: (step, step))

    def take(*on_the_way):
        ways.extend(on_the_way)
        made = service.distribute(numbered, "grpc://unused:1", 3).take(30)
        return [int(step) for step in made], requests

    return take


def test_a_step_that_does_not_arrive_is_requested_again(arriving, monkeypatch):
    monkeypatch.setattr(service, "_LOST", 5)
    with pytest.warns(UserWarning, match="lost the batch of step 7, .* requesting it again"):
        found, requests = arriving(lambda steps: steps.filter(lambda step, _: step != 7))
    assert found == [*range(3, 33)]
    assert requests == [3, 7]


def test_batches_that_there_is_no_room_to_keep_are_made_here(arriving, monkeypatch):
    monkeypatch.setattr(service, "_room", lambda spec: 4)
    late = tf.data.Dataset.from_tensors((tf.constant(3, tf.int64),) * 2)  # after ten others
    found, requests = arriving(
        lambda steps: steps.skip(1).take(10).concatenate(late).concatenate(steps.skip(11))
    )
    assert found == [*range(3, 33)]
    assert requests == [3, 7]


def test_silence_ends_once_the_dispatcher_does_not_answer(monkeypatch):
    monkeypatch.setattr(service, "_CONNECT", 0.01)
    monkeypatch.setattr(service, "_SILENCE", 0.01)
    never = threading.Event()
    with pytest.raises(LostWorker, match="is gone"):
        service._next(iter(never.wait, None), "grpc://127.0.0.1:1")
    never.set()


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_backbones")
def test_a_run_on_a_data_service_is_the_run_without(dispatcher, workers, tmp_path):
    settings = {
        "model": {"width": 2, "projector_dim": 16},
        "training": {"epochs": 2, "batch_size": 450, "deterministic": True},
        "evaluation": {"knn_every": 0},
    }
    for name, address in (("here", None), ("service", dispatcher.target)):
        run = preset("photo_patches").replace(**settings)
        output = Output(name, str(tmp_path / "runs"), str(tmp_path / "saved_models"))
        train(run, output, devices=Devices(data_service=address))
    here, there = ((tmp_path / f"runs/{n}/history.csv").read_text() for n in ("here", "service"))
    assert here == there


@pytest.mark.parametrize("address", ["10.0.0.1:5000", "grpc://host"])
def test_an_invalid_address_is_named(address):
    message = f"must be an address such as grpc://10.0.0.1:5000; got '{address}'"
    with pytest.raises(InputError, match=message):
        Devices(data_service=address).check_data_service()


def test_a_dispatcher_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(service, "_CONNECT", 0.1)
    with pytest.raises(InputError, match=r"127.0.0.1:1' did not answer within 0.1 s"):
        Devices(data_service="grpc://127.0.0.1:1").check_data_service()


def test_images_that_workers_cannot_read_are_refused(images, monkeypatch):
    shards = Shards(["a.array_record"], np.zeros([100, 2], np.int64), is_array=True)
    with pytest.raises(InputError, match="got ArrayRecord files"):
        batches(ImageRecords(shards, tf.io.decode_jpeg), 1, data_service="grpc://127.0.0.1:1")
    monkeypatch.setattr(in_memory, "_SENDABLE", 1000)
    with pytest.raises(InputError, match=r"at most 0.0 GiB, .*; got 0.0 GiB"):
        batches(images, 1, data_service="grpc://127.0.0.1:1")
