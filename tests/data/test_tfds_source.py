"""TensorFlow Datasets, with builders that generate their data."""

import inspect

import numpy as np
import pytest
import tensorflow_datasets as tfds
from helpers import LocalOneSize

from keras_simsiam import Augmentation, InputError, load, views
from keras_simsiam.data import ImageRecords
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


@pytest.fixture(params=["tfrecord", "array_record"])
def stored_as(request, data_dir):
    """A folder with images of many sizes in record files of each kind."""
    folder = f"{data_dir}/{request.param}"
    builder = tfds.builder("local_many_sizes", data_dir=folder, file_format=request.param)
    builder.download_and_prepare()
    return folder


def test_images_of_many_sizes_are_read_from_records_of_each_kind(stored_as):
    train = load("tfds:local_many_sizes", "train", stored_as)
    assert isinstance(train.images, ImageRecords)
    assert len(train.images) == 10
    images = list(train.images.dataset().as_numpy_iterator())
    numbers = np.array([image[0, 0, 0] // 10 for image in images])
    assert [image.shape[0] for image in images] == [12 + i for i in numbers]
    np.testing.assert_array_equal(train.labels, numbers % 2)


def colors(batches, steps):
    """The color of each image of each batch; every image has one, and only the crop is random."""
    none = Augmentation.preset("none")
    return [
        np.rint((x1.numpy()[:, 4, 4, 0] * none.std[0] + none.mean[0]) * 25.5).astype(int).tolist()
        for x1, _ in batches.take(steps)
    ]


def test_each_image_comes_once_an_epoch_in_another_order_from_any_step_on(stored_as):
    images = load("tfds:local_many_sizes", "train", stored_as).images
    options = {"batch_size": 5, "seed": 1, "image_size": 8}
    found = colors(views(images, Augmentation.preset("none"), **options), 6)
    epochs = [found[0] + found[1], found[2] + found[3], found[4] + found[5]]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    late = views(images, Augmentation.preset("none"), start_step=3, **options)
    assert colors(late, 3) == found[3:]


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
