"""TensorFlow Datasets, with builders that generate their data."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow_datasets as tfds
from helpers import LocalOneSize

from keras_simsiam import Augmentation, InputError, load, views
from keras_simsiam.data import ImageStream
from keras_simsiam.datasets import DATASETS


class LocalGray16(LocalOneSize):
    shape = (12, 12, 1)
    dtype = np.uint16
    labeled = False


class LocalUnlabeled(LocalOneSize):
    """Like the unlabeled split of STL-10."""

    def _generate_examples(self, count):
        for i, example in super()._generate_examples(count):
            yield i, {**example, "label": -1}


class LocalByHand(LocalOneSize):
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Fetch it from its authors."

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(len(str(dl_manager.manual_dir)))}


class LocalText(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"text": tfds.features.Text()})
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {"text": "no image"}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("tfds"))


def test_images_of_one_size_are_arrays_with_labels(data_dir):
    train = load("tfds:local_one_size", "train", data_dir)
    assert train.images.shape == (10, 12, 12, 3)
    numbers = train.images[:, 0, 0, 0] // 10
    assert sorted(numbers) == list(range(10))
    np.testing.assert_array_equal(train.labels, numbers % 2)
    assert train.class_names == ("even", "odd")


def test_validation_is_the_test_split_if_there_is_no_other(data_dir):
    assert len(load("tfds:local_one_size", "validation", data_dir).images) == 4


def test_gray_images_of_16_bits_without_labels_become_rgb(data_dir):
    train = load("tfds:local_gray16", "train", data_dir)
    assert train.images.shape == (10, 12, 12, 3)
    assert train.images.dtype == np.uint8
    assert train.labels is None


def test_labels_of_minus_one_are_none(data_dir):
    assert load("tfds:local_unlabeled", "train", data_dir).labels is None


def test_images_of_many_sizes_are_a_stream_and_say_so(data_dir):
    with pytest.warns(UserWarning, match="buffer of 10,000 images"):
        train = load("tfds:local_many_sizes", "train", data_dir)
    assert isinstance(train.images, ImageStream)
    assert len(train.images) == 10
    images = list(train.images.dataset().as_numpy_iterator())
    numbers = np.array([image[0, 0, 0] // 10 for image in images])
    assert [image.shape[0] for image in images] == [12 + i for i in numbers]
    np.testing.assert_array_equal(train.labels, numbers % 2)


@pytest.fixture
def stream(data_dir):
    with pytest.warns(UserWarning, match="stream"):
        return load("tfds:local_many_sizes", "train", data_dir).images


def colors(batches, steps):
    """The color of each image of each batch; every image has one, and only the crop is random."""
    none = Augmentation.preset("none")
    return [
        np.rint((x1.numpy()[:, 4, 4, 0] * none.std[0] + none.mean[0]) * 25.5).astype(int).tolist()
        for x1, _ in batches.take(steps)
    ]


def test_a_stream_gives_each_image_once_an_epoch_in_another_order(stream):
    batches = views(stream, Augmentation.preset("none"), 5, seed=1, image_size=8)
    found = colors(batches, 6)
    epochs = [found[0] + found[1], found[2] + found[3], found[4] + found[5]]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_order_of_a_stream_depends_on_its_own_seed_alone(stream):
    found = []
    for global_seed in (0, 1):
        keras.utils.set_random_seed(global_seed)
        batches = views(stream, Augmentation.preset("none"), 5, seed=1, image_size=8)
        found.append(colors(batches, 2))
    assert found[0] == found[1]


def test_a_sample_of_a_stream_is_spread_over_it(stream):
    whole = [image[0, 0, 0] for image in stream.dataset().as_numpy_iterator()]
    some = stream.sample(4)
    assert len(some) == 5
    assert [image[0, 0, 0] for image in some.dataset().as_numpy_iterator()] == whole[::2]


def test_a_stream_entered_at_a_step_gives_the_batches_of_an_unbroken_run(stream):
    unbroken = list(views(stream, Augmentation(), 4, seed=1, image_size=8).take(7))
    for step in (1, 2, 5):
        entered = views(stream, Augmentation(), 4, seed=1, image_size=8, start_step=step)
        for expected, found in zip(unbroken[step:], entered, strict=False):
            for x, y in zip(expected, found, strict=True):
                np.testing.assert_array_equal(x, y)


def test_parts_of_a_streams_batches_are_the_batches_of_one_worker(stream):
    shared = {"batch_size": 4, "seed": 1, "image_size": 8, "start_step": 1}
    whole = list(views(stream, Augmentation(), **shared).take(5))
    parts = [list(views(stream, Augmentation(), **shared, part=(i, 2)).take(5)) for i in range(2)]
    for step, expected in enumerate(whole):
        for view, x in enumerate(expected):
            together = np.concatenate([part[step][view] for part in parts])
            np.testing.assert_allclose(together, x, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "split", "named"),
    [
        ("tfds:no_such_thing", "train", "no_such_thing"),
        ("tfds:local_one_size", "dev", "has no split 'dev'; it has .*train"),
        ("tfds:local_text", "train", "has no images; its features are text"),
        ("tfds:local_by_hand", "train", "Fetch it from its authors"),
    ],
)
def test_what_cannot_be_read_is_named(name, split, named, data_dir):
    with pytest.raises(InputError, match=named) as caught:
        load(name, split, data_dir)
    assert "\n" not in str(caught.value)


def test_without_a_network_a_download_fails_at_once_with_one_line(tmp_path, monkeypatch):
    def no_host(*_):
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", no_host)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    for name in ("cifar10", "tiny_imagenet"):
        data_dir = str(tmp_path) if name == "cifar10" else None
        if name == "tiny_imagenet":
            monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
        with pytest.raises(InputError, match=f"'{name}' cannot be downloaded.*network") as caught:
            load(name, "train", data_dir)
        assert "\n" not in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_stl10_is_pretrained_on_its_unlabeled_split_by_the_name_that_it_has():
    builder = tfds.builder_cls("stl10")
    assert DATASETS["stl10"].pretraining == inspect.getmodule(builder).UNLABELLED
