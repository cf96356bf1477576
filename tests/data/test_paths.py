"""`Paths` is the list of paths that it stands for."""

import os

import numpy as np
import pytest
import tensorflow as tf

from keras_simsiam.data.paths import Paths

LISTED = ["b.png", "a/1.png", "a/2.png", "a/deep/3.png", "a/4.png", "/c/ü.png", "/d.png"]


def test_it_is_the_list_that_it_was_made_of():
    paths = Paths.of(LISTED)
    assert paths == LISTED
    assert list(paths) == [paths[i] for i in range(7)] == LISTED
    assert paths[-1] == "/d.png"
    for part in (slice(1, 5), slice(None, None, 3), slice(None, None, -2), slice(7, None)):
        assert paths[part] == LISTED[part]
    assert paths.take(np.array([0, 2, 4])) == [LISTED[i] for i in (0, 2, 4)]
    assert paths != LISTED[1:]
    with pytest.raises(IndexError):
        paths[7]


def test_tensorflow_gets_the_bytes_of_each_path_also_in_a_graph():
    names = [*LISTED, os.fsdecode(b"caf\xe9/1.png")]
    paths = Paths.of(names)
    expected = [os.fsencode(name) for name in names]
    assert paths.at(tf.constant([7, 0, 3])).numpy().tolist() == [expected[i] for i in (7, 0, 3)]
    found = tf.data.Dataset.range(8).map(paths[::1].at)
    assert [*found.as_numpy_iterator()] == expected
