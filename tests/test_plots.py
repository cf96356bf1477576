"""Figures: drawn from what there is, and looking like the data."""

import numpy as np
import pytest
from PIL import Image

from keras_simsiam import plots


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"epoch": 0, "knn_top1": 0.3}],
        [{"epoch": i, "loss": -i / 30, "z_std": 0.9, "knn_top1": 0.3} for i in range(30)],
        [{"epoch": 1, "loss": -0.5, "z_std": 0.9}],
    ],
)
def test_curves_are_drawn_however_far_the_run_came(rows, tmp_path):
    plots.curves(rows, tmp_path / "curves.png", "title", {"raw pixels": 0.28})
    assert len(np.unique(pixels(tmp_path / "curves.png"), axis=0)) > 5


def test_view_pairs_undo_the_normalization(tmp_path):
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    red, blue = (
        np.tile((np.array(color) - mean) / std, (3, 8, 8, 1)).astype(np.float32)
        for color in ((0.8, 0.0, 0.0), (0.0, 0.0, 0.6))
    )
    plots.view_pairs(red, blue, tmp_path / "views.png", mean, std)
    found = pixels(tmp_path / "views.png").astype(int)
    for color in ((204, 0, 0), (0, 0, 153)):
        assert (np.abs(found - color).max(axis=1) <= 1).sum() > 1000


def colors_in(path, *colors):
    """Whether each of the colours fills some of a picture."""
    found = pixels(path).astype(int)
    wanted = [[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in colors]
    return [(np.abs(found - color).max(axis=1) <= 2).sum() > 20 for color in wanted]


def test_compared_curves_have_a_colour_a_variant(tmp_path):
    rows = [{"epoch": 0, "knn_top1": 0.3}]
    rows += [{"epoch": i, "loss": -i / 9, "z_std": 0.9, "knn_top1": 0.4} for i in (1, 2, 3)]
    runs = {"with": [rows, rows], "without": [rows[:3], rows[:3]]}
    plots.compared_curves(runs, tmp_path / "curves.png", "title", {"random weights": 0.3})
    assert all(colors_in(tmp_path / "curves.png", plots.style.BLUE, plots.style.ORANGE))


def test_bars_and_floors_leave_out_seeds_that_diverged(tmp_path):
    accuracies = {"default": [0.5, None], "diverged": [None, None]}
    plots.compared_bars(accuracies, tmp_path / "bars.png", "title", {"raw pixels": 0.3})
    assert all(colors_in(tmp_path / "bars.png", "#000000", plots.style.ORANGE))
    plots.floor({16: [-0.9, None], 64: [None]}, tmp_path / "floor.png", "title")
    assert all(colors_in(tmp_path / "floor.png", plots.style.BLUE, plots.style.ORANGE))


def test_spectrum_of_collapsed_features_is_drawn(tmp_path):
    spectra = {"backbone": np.array([3.0, 1.0, 0.0]), "projector": np.zeros(3)}
    plots.spectrum(spectra, tmp_path / "spectrum.png")
    assert all(colors_in(tmp_path / "spectrum.png", plots.style.BLUE))


def test_accuracies_over_a_setting_leave_out_seeds_that_diverged(tmp_path):
    series = {
        "kNN top-1": {16: [0.3, 0.4], 64: [0.5, None], 256: [None]},
        "linear top-1": {16: [0.5, 0.6], 64: [0.7, 0.8], 256: [0.7]},
    }
    plots.accuracy_over("batch size", series, tmp_path / "over.png", "title", {"raw pixels": 0.2})
    assert all(colors_in(tmp_path / "over.png", plots.style.BLUE, plots.style.ORANGE))


def test_trials_are_lines_through_their_settings_coloured_by_accuracy(tmp_path):
    settings = {
        "predictor": ["none", "mlp", "mlp"],
        "training.learning_rate": [0.01, 0.1, 1.0],
        "model.predictor_hidden": [None, 64, 128],
    }
    path = tmp_path / "sweep.png"
    plots.parallel_coordinates(settings, [0.1, 0.3, 0.5], path, "t", {"training.learning_rate"})
    # The worst and the best end of the colour map, as lines and not only in the bar.
    assert all(colors_in(path, "#00224E", "#FEE838"))
    heights, ticks = plots.comparison._heights([0.01, 0.1, 1.0, None], logarithmic=True)
    np.testing.assert_allclose(heights, [0, 0.5, 1, -0.15], atol=1e-9)
    assert ("(none)", -0.15) in ticks


def test_measurements_are_bars_with_dots(tmp_path):
    plots.measured({"a": [1.0, 2.0], "b": [3.0]}, tmp_path / "m.png", "title", "images/s")
    assert all(colors_in(tmp_path / "m.png", "#000000", "#66AAD1"))
