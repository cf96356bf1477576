"""The input as a function of the step counter, on the host and on the device."""

import collections

import numpy as np
import pytest
import tensorflow as tf
from helpers import write_image
from PIL import Image

from keras_simsiam import Augmentation, InputError, augment, load, views
from keras_simsiam.data import (
    ImageFiles,
    batches,
    pick,
    preprocess,
    sample,
    side_of,
    whole_images,
)

FULL = Augmentation()
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


@pytest.mark.parametrize("count", [2, 3, 5, 64, 1000, 100_000])
def test_each_epoch_is_a_permutation_of_its_own(count):
    orders = []
    for epoch in range(2):
        positions = tf.range(count, dtype=tf.int64) + epoch * count
        epochs, examples = batches._examples(positions, count, seed=3)
        assert (epochs.numpy() == epoch).all()
        np.testing.assert_array_equal(np.sort(examples), np.arange(count))
        orders.append(examples.numpy())
    if count > 5:
        assert (orders[0] != orders[1]).mean() > 0.9
        other_seed = batches._examples(tf.range(count, dtype=tf.int64), count, seed=4)[1]
        assert (other_seed.numpy() != orders[0]).mean() > 0.9


@pytest.mark.parametrize("count", [64, 200])
def test_the_shuffle_is_even(count):
    """Each example is as likely at each position: chi-squared over 3,000 epochs."""
    stats = pytest.importorskip("scipy.stats")
    expected = 3000 / count
    positions = tf.range(count, dtype=tf.int64)
    order = tf.function(lambda epoch: batches._examples(positions + epoch * count, count, 0)[1])
    counts, orders = np.zeros((count, count)), set()
    for epoch in range(3000):
        examples = order(tf.constant(epoch, tf.int64)).numpy()
        counts[np.arange(count), examples] += 1
        orders.add(examples.tobytes())
    # Rows and columns add up to 3,000 each, which leaves (count - 1)² degrees of freedom.
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, (count - 1) ** 2) > 1e-3
    assert len(orders) > 2000  # no short cycle


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


@pytest.mark.parametrize("step", [1, 9, 17])
@pytest.mark.parametrize("source", ["images", "files"])
def test_starting_at_a_step_gives_the_batch_of_an_unbroken_run(source, step, request):
    source = (
        request.getfixturevalue(source)[:40]
        if source == "images"
        else (request.getfixturevalue(source))
    )
    unbroken = arrays(views(source, FULL, 12, seed=2, image_size=8), 19)
    entered = arrays(views(source, FULL, 12, seed=2, image_size=8, start_step=step), 2)
    for expected, found in zip(unbroken[step:], entered, strict=False):
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


def test_views_of_files_are_the_crops_that_one_size_would_give(tmp_path):
    """The two ways from a file to a view, decoded beforehand or as needed, are one method."""
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
def test_batch_size_that_does_not_fit_is_named(batch_size, images):
    with pytest.raises(InputError, match=f"batch_size {batch_size} .* 2 to 800"):
        views(images, FULL, batch_size)


def test_unknown_place_to_augment_is_named(images):
    with pytest.raises(InputError, match="'gpu'"):
        views(images, FULL, 8, augment_on="gpu")


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80), (90, 33)])
@pytest.mark.parametrize("size", [24, 64])
def test_preprocess_is_pillows_resize_and_centre_crop(height, width, size):
    image = Image.fromarray(np.random.RandomState(0).randint(0, 256, (9, 9, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    scale = size / min(height, width)
    w, h = round(width * scale), round(height * scale)
    resized = image.resize((w, h), Image.Resampling.BILINEAR)
    left, top = (w - size) // 2, (h - size) // 2
    expected = np.asarray(resized.crop((left, top, left + size, top + size))) / 255.0
    found = preprocess(np.asarray(image)[None], size, (0.5,) * 3, (0.25,) * 3)[0]
    np.testing.assert_allclose(found, (expected - 0.5) / 0.25, atol=1.01 / 255 / 0.25)


@pytest.mark.parametrize("source", ["images", "files"])
def test_whole_images_gives_each_once_in_order(source, request):
    source = request.getfixturevalue(source)
    batches = [b.numpy() for b in whole_images(source, 12, batch_size=48)]
    found = np.concatenate(batches)
    assert found.dtype == np.uint8
    assert found.shape == (len(source), 12, 12, 3)
    if isinstance(source, np.ndarray):
        np.testing.assert_array_equal(found, source)
    else:
        means = [np.asarray(Image.open(p)).mean() for p in source.paths]
        assert np.corrcoef(means, found.mean(axis=(1, 2, 3)))[0, 1] > 0.95


def test_a_sample_is_spread_over_all_images(images, files):
    np.testing.assert_array_equal(sample(images, 100), images[::8])
    assert sample(files, 10).paths == files.paths[::4]
    assert len(sample(files, 1000)) == 40


def test_side_of_images_is_theirs_where_they_have_one(images, files):
    assert side_of(images) == 12
    assert side_of(files) == 224


@pytest.mark.parametrize("source", ["images", "files"])
def test_parts_of_batches_are_the_batches_of_one_worker(source, request):
    source = request.getfixturevalue(source)
    shared = {"batch_size": 12, "seed": 4, "image_size": 12, "start_step": 2}
    whole = arrays(views(source, FULL, **shared), 6)
    parts = [arrays(views(source, FULL, **shared, part=(i, 3)), 6) for i in range(3)]
    for step, expected in enumerate(whole):
        for view, x in enumerate(expected):
            together = np.concatenate([part[step][view] for part in parts])
            np.testing.assert_allclose(together, x, atol=1e-5)


def test_parts_that_are_not_even_are_refused(images):
    with pytest.raises(InputError, match="batch_size 10 cannot be shared out evenly over 3"):
        views(images, FULL, 10, part=(0, 3))


def test_images_that_are_none_are_refused_before_the_training():
    for images in (np.zeros((4, 8, 8, 3), np.float32), np.zeros((4, 8, 8), np.uint8)):
        with pytest.raises(InputError, match=r"must be uint8 \[N, height, width, 3\]"):
            views(images, Augmentation(), 2)


@pytest.mark.parametrize("kind", ["array", "files"])
def test_picked_images_come_in_the_order_asked_for(kind, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
    source = images
    if kind == "files":
        source = ImageFiles([str(tmp_path / f"{i}.png") for i in range(6)])
        for path, image in zip(source.paths, images, strict=True):
            tf.io.write_file(path, tf.io.encode_png(image))
    positions = np.array([5, 0, 5, 2])
    np.testing.assert_array_equal(pick(source, positions, 16), images[positions])
