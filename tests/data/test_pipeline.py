"""The input as a function of the step counter, on the host and on the device."""

import collections

import numpy as np
import pytest
import tensorflow as tf
from helpers import write_image

from keras_simsiam import Augmentation, InputError, SmallViews, augment, load, views
from keras_simsiam.data import ImageFiles, as_images

FULL = Augmentation()
LIGHT = FULL.replace(jitter_probability=0.0, blur_probability=0.0)  # compiled sooner
COUNT = 800  # one epoch is 25 batches of 32 and 8 batches of 100


@pytest.fixture(scope="module")
def images():
    return np.random.RandomState(0).randint(0, 256, (COUNT, 12, 12, 3), np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """40 files of many sizes."""
    root = tmp_path_factory.mktemp("files")
    for i in range(40):
        write_image(root / f"{i:02}.png", i, (20 + i % 7, 18 + i % 5))
    return load(f"folder:{root}", "train").images


def arrays(batches, steps):
    return [tuple(x.numpy() for x in pair) for pair in batches.take(steps)]


def flat(batch):
    return [np.asarray(x) for x in tf.nest.flatten(batch)]


@pytest.mark.parametrize("epoch", [0, 1])
def test_multiset_of_views_of_an_epoch_is_the_same_for_every_batch_size(images, epoch):
    multisets = []
    for batch_size in (32, 100):
        per_epoch = COUNT // batch_size
        batches = views(
            images,
            FULL,
            batch_size,
            seed=5,
            image_size=8,
            start_step=epoch * per_epoch,
            augment_on="device",
        )
        counter = collections.Counter()
        for batch in batches.take(per_epoch):
            counter.update(
                zip(*([row.tobytes() for row in part] for part in flat(batch)), strict=True)
            )
        multisets.append(counter)
    assert sum(multisets[0].values()) == COUNT
    assert multisets[0] == multisets[1]


def test_pixels_of_an_epoch_are_the_same_for_every_batch_size(images):
    projection = np.random.RandomState(1).randn(8 * 8 * 3, 16)
    sorted_projections = []
    for batch_size in (32, 100):
        batches = views(images, FULL, batch_size, seed=5, image_size=8)
        pairs = arrays(batches, COUNT // batch_size)
        pixels = np.concatenate([x for pair in pairs for x in pair]).reshape(2 * COUNT, -1)
        sorted_projections.append(np.sort(pixels @ projection, axis=0))
    # Compiled for another batch size, the same operations may round differently.
    np.testing.assert_allclose(*sorted_projections, atol=1e-2)


@pytest.fixture(params=["images", "files"])
def forty(request):
    """40 images in memory or in files."""
    source = as_images(request.getfixturevalue(request.param))
    return source.every(len(source) // 40)


def test_starting_at_a_step_gives_the_batch_of_an_unbroken_run(forty):
    unbroken = arrays(views(forty, LIGHT, 12, seed=2, image_size=8), 11)
    for step in (1, 9):
        entered = arrays(views(forty, LIGHT, 12, seed=2, image_size=8, start_step=step), 2)
        for expected, found in zip(unbroken[step : step + 2], entered, strict=True):
            np.testing.assert_array_equal(expected, found)


def test_views_depend_on_the_seed_and_differ_from_each_other(images):
    one, again, other = (
        arrays(views(images[:40], FULL, 16, seed=s, image_size=8), 1)[0] for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one[0] - other[0]).mean() > 0.1
    assert np.abs(one[0] - one[1]).mean() > 0.1


@pytest.mark.parametrize("source", ["images", "files"])
def test_views_made_on_the_device_are_those_made_on_the_host(source, request):
    source = request.getfixturevalue(source)
    host = arrays(views(source, FULL, 16, seed=2, image_size=8), 3)
    for expected, batch in zip(
        host, views(source, FULL, 16, seed=2, image_size=8, augment_on="device"), strict=False
    ):
        for x, y in zip(expected, augment.make_views(FULL, batch, 8), strict=True):
            np.testing.assert_allclose(x, y, atol=2e-4)


def test_more_views_leave_the_first_two_as_they_are(files):
    crop = Augmentation.preset("none").replace(crop_area=(0.2, 1.0))
    small = SmallViews(count=2, size=8, crop_area=(0.01, 0.02))
    options = {"batch_size": 16, "seed": 2, "image_size": 12}
    two, four, with_small = (
        arrays(views(files, crop, **options, **more), 1)[0]
        for more in ({}, {"count": 4}, {"small_views": small})
    )
    assert [x.shape[1] for x in (*four, *with_small)] == [12] * 6 + [8] * 2
    for found in (four, with_small):
        for x, y in zip(two, found, strict=False):
            np.testing.assert_array_equal(x, y)
    # A crop of 1% of the image is nearly of one color.
    assert np.ptp(with_small[2], axis=(1, 2)).mean() < np.ptp(four[2], axis=(1, 2)).mean() / 2
    assert np.abs(with_small[2] - with_small[3]).max() > 0.1


def test_views_of_files_are_those_of_the_same_images_in_memory(tmp_path):
    for i in range(8):
        write_image(tmp_path / f"{i}.png", i, (40, 30))
    held = load(f"folder:{tmp_path}", "train").images
    as_files = ImageFiles([str(p) for p in sorted(tmp_path.iterdir())])
    crop = Augmentation(blur_probability=0, jitter_probability=0, grayscale_probability=0)
    for x, y in zip(
        arrays(views(held, crop, 8, image_size=16), 4),
        arrays(views(as_files, crop, 8, image_size=16), 4),
        strict=True,
    ):
        # The crop of a file is rounded to uint8: half a level, divided by the smallest std.
        assert np.abs(np.array(x) - np.array(y)).max() < 0.6 / 255 / 0.224


@pytest.mark.parametrize("batch_size", [0, 1, 801])
def test_a_batch_size_that_does_not_fit_is_named(batch_size, images):
    message = f"batch_size must be at least 2 and at most 800, .*; got {batch_size}"
    with pytest.raises(InputError, match=message):
        views(images, FULL, batch_size)


def test_an_unknown_place_to_augment_is_named(images):
    with pytest.raises(InputError, match="augment_on must be one of host, device; got 'gpu'"):
        views(images, FULL, 8, augment_on="gpu")


def test_parts_of_batches_are_the_batches_of_one_worker(forty):
    shared = {"batch_size": 12, "seed": 4, "image_size": 12, "start_step": 2}
    whole = arrays(views(forty, LIGHT, **shared), 3)
    parts = [arrays(views(forty, LIGHT, **shared, part=(i, 3)), 3) for i in range(3)]
    for step, expected in enumerate(whole):
        for view, x in enumerate(expected):
            together = np.concatenate([part[step][view] for part in parts])
            np.testing.assert_allclose(together, x, atol=1e-5)


def test_uneven_parts_are_refused(images):
    with pytest.raises(InputError, match="batch_size must be a multiple of 3 parts; got 10"):
        views(images, FULL, 10, part=(0, 3))


def test_images_that_are_not_uint8_are_refused_before_the_training():
    with pytest.raises(InputError, match=r"images must be uint8 \[N, H, W, 3\]; got float32"):
        views(np.zeros((4, 8, 8, 3), np.float32), FULL, 2)


def test_each_view_of_files_can_have_an_augmentation_of_its_own(files):
    other = Augmentation(crop_area=(0.6, 1.0), blur_probability=0.0)

    def crops(augmentation):
        options = {"seed": 2, "image_size": 8, "augment_on": "device"}
        return next(iter(views(files, augmentation, 16, **options)))["crops"]

    x1, x2 = crops((FULL, other))
    np.testing.assert_array_equal(x1, crops(FULL)[0])
    np.testing.assert_array_equal(x2, crops(other)[1])


@pytest.mark.parametrize(("source", "augment_on"), [("memory", "host"), ("files", "device")])
def test_numbers_are_those_of_the_images(source, augment_on, tmp_path):
    images = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones([1, 8, 8, 3], np.uint8)
    if source == "files":
        for i, image in enumerate(images):
            tf.io.write_file(f"{tmp_path}/{i:02}.png", tf.io.encode_png(image))
        images = ImageFiles(sorted(map(str, tmp_path.iterdir())))
    plain = Augmentation.preset("none")
    batches = views(images, plain, 8, 1, 8, 1, augment_on, numbered=True)
    batch = next(iter(batches))  # four images of the first epoch, four of the second
    made = batch["views"]
    if augment_on == "device":
        made = augment.make_views(plain, made, 8)
    gray = made[1].numpy()[:, 0, 0, 0] * plain.std[0] + plain.mean[0]
    np.testing.assert_allclose(gray * 255, batch["examples"], atol=1e-3)
    assert batch["examples"].dtype == tf.int64
