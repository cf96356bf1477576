"""Many images, of which a few cannot be read: at first, or later."""

import functools
import warnings

import numpy as np
import pytest
import tensorflow as tf
from helpers import write_image

from keras_simsiam import Augmentation, InputError, load, views
from keras_simsiam.data.reading import Unreadable, batched, cause
from keras_simsiam.errors import CannotRead

COUNT = 200


@pytest.fixture
def folder(tmp_path):
    """JPEG files of three sizes."""
    for i in range(COUNT):
        write_image(tmp_path / f"{i:03}.jpg", i, (20 + i % 3, 18))
    return tmp_path


def images(folder):
    return load(f"folder:{folder}", "train").images


def batches(source, count=30, **options):
    options = {"seed": 1, "image_size": 8, "augment_on": "device", **options}  # compiles nothing
    made = views(source, Augmentation(), 16, **options)
    return [[np.asarray(x) for x in tf.nest.flatten(batch)] for batch in made.take(count)]


def whole(source):
    return np.concatenate([np.asarray(batch) for batch in source.resized(8, batch_size=32)])


def because(*names):
    return {name: functools.partial("{} is odd".format, name) for name in names}


def test_all_losses_of_a_dataset_share_one_percent():
    unreadable = Unreadable(200)
    with pytest.warns(
        UserWarning, match=r"^1 of 200 images cannot be read: a \(a is odd\)\. Gone$"
    ):
        unreadable.add(because("a"), "Gone")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unreadable.add(because("a"), "Gone")
        unreadable.add({}, "Gone")
    with pytest.warns(UserWarning, match=r"^2 of 200 images cannot be read, now also b \(b is odd"):
        unreadable.add(because("a", "b"), "Gone")
    message = r"^3 of 200 .*, now also c \(c is odd\)\. At most 1% may be left out; mend them"
    for names in ("c", "ab"):
        with pytest.raises(CannotRead, match=message if names == "c" else "3 of 200 .*read: a"):
            unreadable.add(because(*names), "Gone", "mend them", CannotRead)


@pytest.mark.parametrize("missing", [[], [0], [7], [3, 4, 5], [4, 5, 6, 7], [0, 1, 9, 19], [11]])
def test_what_is_missing_is_replaced_by_what_follows(missing):
    left = [n for n in range(22) if n not in missing]
    found = tf.data.Dataset.from_tensor_slices(left).map(lambda n: (tf.cast(n, tf.int64), [2 * n]))
    expected = [next(n for n in left if n >= i) for i in range(20)]
    numbers, results = zip(*batched(found, 4).take(5).as_numpy_iterator(), strict=True)
    np.testing.assert_array_equal(np.concatenate(numbers), expected)
    np.testing.assert_array_equal(np.concatenate(results)[:, 0], 2 * np.array(expected))
    last = [len(n) for n, _ in batched(found, 4, last=True)]
    assert last == [4] * 5 + [2]


def test_batches_that_others_make_are_not_replaced():
    left = [4, 6, 7, 12, 13, 14]  # the second and fourth batch, without 5 and 15
    found = tf.data.Dataset.from_tensor_slices([*left, 20]).map(lambda n: (tf.cast(n, tf.int64), n))
    numbers = [n.tolist() for n, _ in batched(found, 4, shared=True).take(2).as_numpy_iterator()]
    assert numbers == [[4, 6, 6, 7], [12, 13, 14, 20]]


def test_a_file_that_goes_bad_leaves_all_other_views_as_they_are(folder):
    source = images(folder)
    before, seen = batches(source), whole(source)
    (folder / "007.jpg").unlink()
    (folder / "150.jpg").write_bytes((folder / "150.jpg").read_bytes()[:-40])
    with pytest.warns(UserWarning, match=r"1 of 200 images cannot be read: .*\d\.jpg \(") as caught:
        after = batches(source)
    changed = sorted(
        16 * step + place
        for step, (old, new) in enumerate(zip(before, after, strict=True))
        for place in range(16)
        if any(not np.array_equal(x[place], y[place]) for x, y in zip(old, new, strict=True))
    )
    assert 4 <= len(changed) <= 6  # twice in each of 2.4 epochs
    text = " ".join(str(w.message) for w in caught)
    assert "007.jpg (" in text
    assert "150.jpg (a JPEG that is damaged, cut off or too large). Other images take" in text
    for position in changed[:4]:
        step, place = divmod(position, 16)
        following = after[(position + 1) // 16][0][(position + 1) % 16]
        np.testing.assert_array_equal(after[step][0][place], following)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # they have been named
        entered = batches(source, 5, start_step=3)
        found = whole(source)
        source.pick(np.array([7, 8]), 8)
    for x, y in zip(entered, after[3:8], strict=True):
        np.testing.assert_array_equal(x[0], y[0])
    assert np.flatnonzero((found != seen).any(axis=(1, 2, 3))).tolist() == [7, 150]
    np.testing.assert_array_equal(found[[7, 150]], seen[[8, 151]])


def test_more_than_one_percent_ends_training_and_evaluation(folder):
    (folder / "000.jpg").write_bytes(b"")
    with pytest.warns(UserWarning, match="1 of 200 .*000.jpg"):
        source = images(folder)
    for i in (3, 199):
        (folder / f"{i:03}.jpg").unlink()
    with pytest.warns(UserWarning, match="2 of 200"):  # noqa: SIM117
        with pytest.raises(tf.errors.UnknownError, match=r"CannotRead: 3 of 200 images .* At most"):
            batches(source)
    with pytest.raises(CannotRead, match=r"3 of 200 images cannot be read: .*003.jpg .* 1%"):
        whole(source)
    with pytest.raises(CannotRead, match="3 of 200"):
        source.every(2).pick(np.array([1]), 8)


def test_images_lost_at_the_end_are_replaced(folder):
    source = images(folder)
    seen = whole(source)
    (folder / "199.jpg").unlink()
    with pytest.warns(UserWarning, match=r"199.jpg \(.*No such file"):
        found = whole(source)
    np.testing.assert_array_equal(found, seen[[*range(199), 198]])


def test_images_lost_between_two_readings_leave_the_labels_in_order(tmp_path, monkeypatch):
    for i in range(101):
        write_image(tmp_path / f"train/{'ab'[i % 2]}/{i:03}.png", i, (20, 18))
    lost = tmp_path / "train/a/000.png"
    from keras_simsiam.data import folder

    once = folder.read_images

    def later(*args, **kwargs):
        lost.unlink()
        return once(*args, **kwargs)

    monkeypatch.setattr(folder, "read_images", later)
    with pytest.warns(UserWarning, match="1 of 101 images cannot be read"):
        train = load(f"folder:{tmp_path}", "train")
    assert len(train.images) == len(train.labels) == 100
    assert train.labels.tolist() == [0] * 50 + [1] * 50


def test_the_cause_is_a_few_plain_words(tmp_path):
    def read(path):
        return tf.io.decode_png(tf.io.read_file(path))

    (tmp_path / "a.png").write_bytes(b"x")
    assert cause(read, str(tmp_path / "none")).endswith("none; No such file or directory")
    assert "\n" not in cause(read, str(tmp_path / "a.png"))
    assert cause(lambda x: x, 1) == "unreadable at first, readable now"


def test_too_many_unreadable_files_are_an_input_error_at_first(tmp_path):
    for i in range(101):
        write_image(tmp_path / f"{i:03}.jpg", i, (20 + i % 2, 18))
    for i in (5, 6):
        (tmp_path / f"{i:03}.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match=r"2 of 101 .*005.jpg .*006.jpg .*repair or remove them"):
        images(tmp_path)
