"""The benchmark of what grows with the number of images."""

import os

import pytest

from experiments.benchmarks import common, folders, growth
from keras_simsiam import load


def test_what_grows_with_the_images_has_its_exponent_and_is_scaled_to_imagenet():
    costs = {n: 10 + 2e-4 * n for n in (100, 1_000, 10_000, 100_000)}
    exponent, scaled = growth.fitted(costs)
    assert exponent == pytest.approx(1, abs=0.02)
    assert scaled == pytest.approx(10 + 2e-4 * growth.IMAGENET)
    assert growth.fitted({n: n**2 for n in (1, 10**4, 10**6)})[0] == pytest.approx(2, abs=0.02)


def test_each_cost_has_a_row_at_the_most_images_and_a_line(monkeypatch, tmp_path):
    monkeypatch.setattr(common, "HERE", tmp_path)
    growth.write("check, again", {n: (2e-5 * n, 3e-5 * n, 700.0) for n in (10, 10**3, 10**5)})
    growth.write("start", {n: (9 + 1e-4 * n, 20.0, 900.0) for n in (10, 10**3, 10**5)})
    _, start, check = growth.table(growth.measurements())
    assert start == ["start", "100,000", "19", "20", "900", "1.00", "137"]
    assert check == ["check, again", "100,000", "2", "3", "700", "1.00", "25.6"]
    growth.draw(growth.measurements(), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_the_folders_are_read_as_labeled_images_of_several_sizes():
    with folders.imagenet_layout(30) as root:
        train = load(f"folder:{root}", "train")
        assert len({train.images.image(i).shape for i in range(30)}) == 5
        assert len(train.labels) == 30
        assert len(load(f"folder:{root}", "validation").labels) == 200
        assert os.environ["KERAS_SIMSIAM_CACHE"].startswith(root)
    assert not os.environ.get("KERAS_SIMSIAM_CACHE", "").startswith(root)
