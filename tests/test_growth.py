"""The benchmark of what grows with the number of images."""

import os

import pytest

from experiments.benchmarks import folders, growth
from keras_simsiam import load


def test_what_grows_with_the_images_has_its_exponent_and_is_scaled_to_imagenet():
    costs = {n: 10 + 2e-4 * n for n in (100, 1_000, 10_000, 100_000)}
    exponent, scaled = growth.fitted(costs)
    assert exponent == pytest.approx(1, abs=0.02)
    assert scaled == pytest.approx(10 + 2e-4 * growth.IMAGENET)
    assert growth.fitted({n: n**2 for n in (1, 10**4, 10**6)})[0] == pytest.approx(2, abs=0.02)


def test_the_folders_are_read_as_labeled_images_of_several_sizes():
    with folders.imagenet_layout(30) as root:
        train = load(f"folder:{root}", "train")
        assert len({train.images.image(i).shape for i in range(30)}) == 5
        assert len(train.labels) == 30
        assert len(load(f"folder:{root}", "validation").labels) == 200
        assert os.environ["KERAS_SIMSIAM_CACHE"].startswith(root)
    assert not os.environ.get("KERAS_SIMSIAM_CACHE", "").startswith(root)
