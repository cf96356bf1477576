"""Figures: whatever was measured is drawn, and nothing else."""

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from keras_simsiam import metrics, plots
from keras_simsiam.plots import style
from keras_simsiam.plots.sweep import _heights
from keras_simsiam.preprocessing import Preprocessing

BASELINES = {"knn_top1_random_weights": 0.32, "knn_top1_raw_pixels": 0.28}
LOSS, Z_STD, KNN = "loss", "z_std (× √d)", "kNN top-1 accuracy (%)"


@pytest.fixture
def draw(monkeypatch, tmp_path):
    """Calls a function of `plots` with a path; gives the figure that it wrote there."""
    figures = []
    savefig = Figure.savefig

    def record(figure, path, **kwargs):
        figures.append(figure)
        savefig(figure, path, **kwargs)

    monkeypatch.setattr(Figure, "savefig", record)

    def call(function, *args, **kwargs):
        path = tmp_path / "new" / "figure.png"
        function(*args, path=path, **kwargs)
        with Image.open(path) as image:
            assert image.format == "PNG"
        assert [file.name for file in path.parent.iterdir()] == ["figure.png"]
        return figures[-1]

    return call


def panels(figure):
    """The visible axes by the label of their y axis."""
    return {axis.get_ylabel(): axis for axis in figure.axes if axis.get_visible()}


def data_lines(axis):
    """The lines that show data, not those across the axes."""
    return [line for line in axis.lines if line.get_transform() == axis.transData]


def points(line):
    return [tuple(xy) for xy in np.round(line.get_xydata(), 6).tolist()]


def levels(axis, vertical=False):
    """Values of the lines across the axes, by label."""
    across = [line for line in axis.lines if line.get_transform() != axis.transData]
    data = [line.get_xdata() if vertical else line.get_ydata() for line in across]
    assert all(low == high for low, high in data)
    return {line.get_label(): round(low, 6) for line, (low, _) in zip(across, data, strict=True)}


def band(axis):
    """Lowest and highest y of the only band, by x."""
    [collection] = axis.collections
    vertices = np.round(collection.get_paths()[0].vertices, 6)
    return {
        float(x): (float(y.min()), float(y.max()))
        for x in np.unique(vertices[:, 0])
        for y in [vertices[vertices[:, 0] == x, 1]]
    }


def looks(lines):
    """Color, dashes and marker of each line."""
    return [
        (to_hex(line.get_color()), str(line._dash_pattern), line.get_marker()) for line in lines
    ]


def words(axis):
    return [text.get_text() for text in axis.texts]


def legend(owner):
    legends = owner.legends if isinstance(owner, Figure) else [owner.get_legend()]
    return [text.get_text() for found in legends for text in found.get_texts()]


def history(epochs, offset=0.0):
    rows = [{"epoch": 0, "knn_top1": 0.3}]
    for i in range(1, epochs + 1):
        row = {"epoch": i, "loss": -i / 10 + offset, "z_std": 0.9, "learning_rate": 0.1}
        rows.append({**row, "knn_top1": 0.3 + i / 20 + offset} if i % 2 == 0 else row)
    return rows


def test_curves_show_every_value_that_was_logged(draw):
    found = panels(draw(plots.curves, history(4), title="title", baselines=BASELINES))
    assert list(found) == [LOSS, Z_STD, KNN]
    drawn = {label: [points(line) for line in data_lines(axis)] for label, axis in found.items()}
    assert drawn[LOSS] == [[(1, -0.1), (2, -0.2), (3, -0.3), (4, -0.4)]]
    assert drawn[Z_STD] == [[(i, 0.9) for i in (1, 2, 3, 4)]]
    assert drawn[KNN] == [[(0, 30), (2, 40), (4, 50)]]
    assert levels(found[LOSS]) == {"smallest possible": -1}
    assert levels(found[Z_STD]) == {"spread over the sphere": 1, "collapsed": 0}
    assert levels(found[KNN]) == {"random weights": 32, "raw pixels": 28}
    assert legend(found[KNN]) == ["random weights", "raw pixels"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], {LOSS: []}),
        ([{"epoch": 0, "knn_top1": 0.3}], {KNN: [(0, 30)]}),
        ([{"epoch": 1, "loss": -0.5, "z_std": 0.9}], {LOSS: [(1, -0.5)], Z_STD: [(1, 0.9)]}),
    ],
)
def test_curves_are_drawn_however_far_the_run_came(rows, expected, draw):
    found = panels(draw(plots.curves, rows, title="title", baselines=BASELINES))
    assert {label: points(axis.lines[0]) for label, axis in found.items()} == expected
    # A line through one point is seen by its marker only.
    assert all(data_lines(axis)[0].get_marker() == "o" for axis in found.values())


def test_baselines_that_were_not_measured_are_left_out(draw):
    summary = {"status": "finished", "knn_top1": 0.5, **BASELINES, "knn_top1_raw_pixels": None}
    found = panels(draw(plots.curves, history(4), title="title", baselines=summary))
    assert levels(found[KNN]) == {"random weights": 32}


def test_a_metric_with_a_panel_is_drawn_and_one_without_is_not(draw, monkeypatch):
    panel = metrics.Panel("(nats)", limits=(0, 5), scale=10, references=((4, "most"),))
    extra = [metrics.Metric(f"extra_{i}", f"extra {i}", panel=panel) for i in range(3)]
    for metric in extra:
        monkeypatch.setitem(metrics.METRICS, metric.key, metric)
    rows = [{**row, **{m.key: i for i, m in enumerate(extra)}, "hidden": 1} for row in history(2)]
    figure = draw(plots.curves, rows, title="title")
    assert list(panels(figure)) == [LOSS, Z_STD, KNN, *(f"extra {i} (nats)" for i in range(3))]
    axis = panels(figure)["extra 2 (nats)"]
    assert points(data_lines(axis)[0]) == [(0, 20), (1, 20), (2, 20)]
    assert levels(axis) == {"most": 40}
    assert axis.get_ylim() == pytest.approx((-2, 52))


def test_panels_cover_losses_outside_the_usual_limits(draw):
    def loss_panel(*losses):
        rows = [{"epoch": i, "loss": loss} for i, loss in enumerate(losses)]
        return panels(draw(plots.curves, rows, title="title"))[LOSS]

    low, high = loss_panel(-0.5, -0.6).get_ylim()
    assert (low, high) == pytest.approx((-1.04, 0.04))
    assert loss_panel(-0.5, 0.4).get_ylim()[1] > 0.4
    cross_entropy = loss_panel(7.6, 6.2)
    assert 5 < cross_entropy.get_ylim()[0] < 6.2
    assert 7.6 < cross_entropy.get_ylim()[1] < 9
    assert levels(cross_entropy) == {}


@pytest.mark.parametrize("count", [2, 4, 13, 40])
def test_every_variant_is_drawn_and_can_be_told_from_the_others(count, draw):
    runs = {f"variant {i}": [history(4, i / 100)] for i in range(count)}
    figure = draw(plots.compared_curves, runs, title="title", baselines=BASELINES)
    assert legend(figure) == list(runs)
    for axis in panels(figure).values():
        lines = data_lines(axis)
        assert len(lines) == count == len(set(looks(lines)))
        assert looks(lines) == looks(figure.legends[0].get_lines())
    last = [points(line)[-1] for line in data_lines(panels(figure)[LOSS])]
    assert last == [(4, pytest.approx(-0.4 + i / 100)) for i in range(count)]


def test_variants_stay_distinguishable_over_many_epochs(draw):
    runs = {f"variant {i}": [history(200)] for i in range(8)}
    axis = panels(draw(plots.compared_curves, runs, title="title"))[LOSS]
    for line in data_lines(axis):
        assert line.get_marker() not in ("", "None")
        assert 8 <= len(range(0, 200, line.get_markevery())) <= 12


def test_variants_are_drawn_by_mean_and_range_of_seeds_of_any_length(draw):
    runs = {"one": [history(4, 0.0), history(2, 0.06)]}
    axis = panels(draw(plots.compared_curves, runs, title="title"))[LOSS]
    assert points(data_lines(axis)[0]) == [(1, -0.07), (2, -0.17), (3, -0.3), (4, -0.4)]
    assert band(axis) == {1: (-0.1, -0.04), 2: (-0.2, -0.14), 3: (-0.3, -0.3), 4: (-0.4, -0.4)}


def test_a_variant_that_never_finished_an_epoch_keeps_its_place_in_the_legend(draw):
    runs = {"diverged": [[]], "default": [history(4)]}
    figure = draw(plots.compared_curves, runs, title="title")
    assert legend(figure) == ["diverged", "default"]
    assert [points(line) for line in data_lines(panels(figure)[Z_STD])] == [
        [],
        [(i, 0.9) for i in (1, 2, 3, 4)],
    ]


def test_every_baseline_is_drawn_and_can_be_told_from_the_others(draw, monkeypatch):
    for i in range(9):
        monkeypatch.setitem(metrics.BASELINES, f"other_{i}", f"other {i}")
    baselines = {metrics.baseline_key("knn_top1", b): 0.1 for b in metrics.BASELINES}
    curves = panels(draw(plots.curves, history(4), title="title", baselines=baselines))[KNN]
    bars = draw(plots.compared_bars, {"a": [0.5]}, title="title", baselines=baselines).axes[0]
    over = draw(
        plots.metric_over, "size", {"knn_top1": {1: [0.5]}}, title="title", baselines=baselines
    ).axes[0]
    for axis in (curves, bars, over):
        assert levels(axis, vertical=axis is bars) == dict.fromkeys(metrics.BASELINES.values(), 10)
        lines = [line for line in axis.lines if line.get_label() in metrics.BASELINES.values()]
        assert len(set(looks(lines))) == 11


def test_bars_are_means_and_diverged_seeds_are_said_not_drawn(draw):
    accuracies = {"default": [0.5, 0.6], "shaky": [0.4, None], "diverged": [None, None]}
    figure = draw(plots.compared_bars, accuracies, title="title", baselines=BASELINES)
    axis = figure.axes[0]
    bars = {bar.get_y() + bar.get_height() / 2: bar.get_width() for bar in axis.patches}
    assert bars == {0: pytest.approx(55), 1: pytest.approx(40)}
    assert [points(line) for line in data_lines(axis)] == [[(50, 0), (60, 0), (40, 1)]]
    assert [(t.get_position()[1], t.get_text().strip()) for t in axis.texts] == [
        (1, "1 of 2 diverged"),
        (2, "diverged"),
    ]
    assert [label.get_text() for label in axis.get_yticklabels()] == list(accuracies)
    assert axis.get_ylim() == (2.5, -0.5)  # the first on top, and room for the last
    assert axis.get_xlabel() == KNN
    assert levels(axis, vertical=True) == {"random weights": 32, "raw pixels": 28}
    assert legend(figure) == ["one seed", "random weights", "raw pixels"]


def test_bars_of_any_metric_have_its_heading_and_scale(draw):
    axis = draw(plots.compared_bars, {"a": [20.0]}, title="title", metric="projector_rank").axes[0]
    assert axis.get_xlabel() == "rank of z"
    assert [bar.get_width() for bar in axis.patches] == [20]


def test_measurements_are_bars_at_the_median_with_a_dot_each(draw):
    values = {"a": [1.0, 2.0, 6.0], "b": [3.0]}
    axis = draw(plots.measured, values, title="title", unit="images/s").axes[0]
    assert [bar.get_width() for bar in axis.patches] == [2, 3]
    assert points(axis.lines[0]) == [(1, 0), (2, 0), (6, 0), (3, 1)]
    assert axis.get_xlabel() == "images/s"


def test_metrics_over_a_setting_leave_out_diverged_seeds(draw):
    series = {
        "knn_top1": {16: [0.3, 0.4], 64: [0.5, None], 256: [None]},
        "linear_top1": {16: [0.5, 0.6], 64: [0.7, 0.8], 256: [0.7]},
    }
    baselines = {**BASELINES, "linear_top1_raw_pixels": 0.4}
    figure = draw(plots.metric_over, "batch size", series, title="title", baselines=baselines)
    axis = figure.axes[0]
    drawn = {line.get_label(): points(line) for line in data_lines(axis)}
    assert drawn == {
        "kNN top-1, mean": [(16, 35), (64, 50)],
        "kNN top-1, one seed": [(16, 30), (16, 40), (64, 50)],
        "linear top-1, mean": [(16, 55), (64, 75), (256, 70)],
        "linear top-1, one seed": [(16, 50), (16, 60), (64, 70), (64, 80), (256, 70)],
    }
    assert levels(axis) == {
        "kNN top-1, random weights": 32,
        "kNN top-1, raw pixels": 28,
        "linear top-1, raw pixels": 40,
    }
    of_metric = {}
    for line in axis.lines:
        of_metric.setdefault(line.get_label().split(",")[0], set()).add(to_hex(line.get_color()))
    assert list(of_metric.values()) == [{style.BLUE.lower()}, {style.ORANGE.lower()}]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("batch size", "accuracy (%)")
    assert axis.get_xscale() == "log"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["16", "64", "256"]
    assert sorted(legend(figure)) == sorted([*drawn, *levels(axis)])


def test_a_metric_over_a_setting_has_its_range_and_references(draw):
    losses = {"loss": {0: [-0.9, -0.8], 64: [-0.97]}}
    references = {"the report": -0.87}
    figure = draw(plots.metric_over, "size", losses, title="title", references=references)
    axis = figure.axes[0]
    assert band(axis) == {0: (-0.9, -0.8), 64: (-0.97, -0.97)}
    assert levels(axis) == {"smallest possible": -1, "the report": -0.87}
    assert axis.get_xscale() == "linear"  # 0 has no place on a logarithmic axis
    assert axis.get_ylabel() == "loss"


def test_variants_over_a_setting_are_a_line_each_with_a_dot_a_seed(draw):
    series = {"a": {8: [0.4, 0.5], 16: [0.6]}, "b": {8: [None], 16: [0.3]}}
    figure = draw(
        plots.compared_over, "epochs", "knn_top1", series, title="title", baselines=BASELINES
    )
    axis = figure.axes[0]
    drawn = [points(line) for line in data_lines(axis)]
    assert drawn == [
        *([(8, 45), (16, 60)], [(8, 40), (8, 50), (16, 60)]),
        *([(16, 30)], [(16, 30)]),
    ]
    assert levels(axis) == {"random weights": 32, "raw pixels": 28}
    assert sorted(legend(figure)) == ["a", "b", "random weights", "raw pixels"]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("epochs", KNN)


def test_spectra_are_drawn_relative_to_the_largest_value(draw):
    spectra = {"backbone": np.array([4.0, 1.0, 0.0]), "projector": np.zeros(3)}
    spectra |= {f"other {i}": np.array([2.0, 1.0]) for i in range(6)}
    axis = draw(plots.spectrum, spectra).axes[0]
    assert legend(axis) == list(spectra)
    assert points(axis.lines[0])[:2] == [(1, 1), (2, 0.25)]
    assert axis.lines[0].get_ydata()[2] == 1e-8  # visible on a logarithmic axis
    assert axis.lines[1].get_ydata().tolist() == [1e-8] * 3
    assert len(set(looks(axis.lines))) == 8


def test_trials_are_lines_through_their_settings_colored_by_the_metric(draw):
    settings = {
        "predictor": ["none", "mlp", "mlp"],
        "training.learning_rate": [1.0, 0.1, 0.01],
        "model.predictor_hidden": [None, 64, 128],
    }
    accuracies = [0.5, 0.1, 0.3]
    figure = draw(
        plots.parallel_coordinates,
        settings,
        accuracies,
        title="title",
        logarithmic={"training.learning_rate"},
    )
    axis, colorbar = figure.axes
    drawn = [(points(line), to_hex(line.get_color())) for line in data_lines(axis)]
    cividis = matplotlib.colormaps["cividis"]
    assert drawn == [
        ([(0, 1), (1, 0.5), (2, 0)], to_hex(cividis(0.0))),
        ([(0, 1), (1, 0), (2, 1)], to_hex(cividis(0.5))),
        ([(0, 0), (1, 1), (2, -0.15)], to_hex(cividis(1.0))),  # the best on top
    ]
    assert words(axis) == ["none", "mlp", "0.01", "0.1", "1", "64", "128", "(none)"]
    assert colorbar.get_ylabel() == KNN
    assert colorbar.get_ylim() == pytest.approx((10, 50))


def test_settings_are_placed_by_number_or_in_order_of_words():
    heights, ticks = _heights([0.01, 0.1, 1.0, None], logarithmic=True)
    np.testing.assert_allclose(heights, [0, 0.5, 1, -0.15], atol=1e-9)
    assert ticks["(none)"] == -0.15
    assert _heights([True, False, True], logarithmic=False) == ([0, 1, 0], {"True": 0, "False": 1})
    assert _heights([5, 5], logarithmic=True) == ([0, 0], {"5": 0})
    assert _heights([None, None], logarithmic=False) == ([-0.15, -0.15], {"(none)": -0.15})
    many = _heights(list(range(20)), logarithmic=False)[1]
    assert many == {"0": 0, "19": 1}


def test_views_undo_the_normalization_and_show_every_view(draw):
    preprocessing = Preprocessing(8, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    shades = [(0.8, 0.0, 0.0), (0.0, 0.0, 0.6), (0.0, 0.5, 0.0)]
    batch = [
        np.tile((np.array(c) - preprocessing.mean) / preprocessing.std, (10, side, side, 1))
        for c, side in zip(shades, (8, 8, 4), strict=True)
    ]
    figure = draw(plots.views, batch, preprocessing=preprocessing, images=9)
    shown = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert len(shown) == 27
    rows = np.array([axis.images[0].get_array()[0, 0] for axis in figure.axes[::8]])
    np.testing.assert_allclose(rows, [*shades, *shades], atol=1e-6)
    labels = [axis.get_ylabel() for axis in figure.axes[::8]]
    assert labels == ["x1", "x2", "x3", "x1", "x2", "x3"]


def test_neighbors_are_framed_by_whether_they_are_of_the_same_class(draw):
    queries = np.full((2, 4, 4, 3), 7, np.uint8)
    found = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1, 1) * np.ones((4, 4, 3), np.uint8)
    same = np.array([[True, False, True], [False, False, True]])
    axes = np.reshape(draw(plots.neighbors, queries, found, same).axes, (2, 4))
    shown = [[int(axis.images[0].get_array()[0, 0, 0]) for axis in row] for row in axes]
    assert shown == [[7, 0, 1, 2], [7, 3, 4, 5]]
    for row, of_row in zip(axes[:, 1:], same, strict=True):
        frames = [to_hex(axis.spines["left"].get_edgecolor()) for axis in row]
        expected = [(style.GREEN if s else style.ORANGE).lower() for s in of_row]
        assert frames == expected
    unframed = draw(plots.neighbors, queries, found, None).axes
    assert not any(axis.spines["left"].get_visible() for axis in unframed)


def test_confusion_shows_shares_of_the_true_class(draw):
    counts = np.array([[3, 1], [0, 0]])
    axis = draw(plots.confusion, counts, ["cat", "dog"], title="title").axes[0]
    np.testing.assert_allclose(axis.images[0].get_array(), [[75, 25], [0, 0]])
    assert [label.get_text() for label in axis.get_yticklabels()] == ["cat", "dog"]


def test_of_many_classes_the_most_confused_pairs_are_shown(draw):
    counts = 50 * np.eye(1000, dtype=int)
    counts[3, 7], counts[900, 0], counts[5, 6] = 150, 50, 1
    names = [f"class {i}" for i in range(1000)]
    axis = draw(plots.confusion, counts, names, title="title").axes[0]
    assert len(axis.patches) == len(axis.get_yticklabels()) == 30
    shown = [label.get_text() for label in axis.get_yticklabels()]
    assert shown[:3] == ["class 3 as class 7", "class 900 as class 0", "class 5 as class 6"]
    widths = [bar.get_width() for bar in axis.patches[:4]]
    np.testing.assert_allclose(widths, [75, 50, 100 / 51, 0])


@pytest.mark.parametrize("classes", [2, 20, 30])
def test_a_map_has_a_color_a_class(classes, draw):
    labels = np.arange(2 * classes) % classes
    features = np.stack([labels, -labels], axis=1).astype(float)
    names = [f"class {i}" for i in range(classes)]
    figure = draw(plots.scatter, features, labels, names, title="title")
    lines = figure.axes[0].lines
    assert [points(line) for line in lines] == [[(i, -i)] * 2 for i in range(classes)]
    assert len({to_hex(line.get_color()) for line in lines}) == classes
    assert (legend(figure) == names) == (classes <= 20)


@pytest.mark.parametrize(
    "name", ["$5_$10 {bills}", "$x_{$", "a\nb\tc", "100%", "_hidden", "🐈", "caf\udce9", "é" * 200]
)
def test_names_are_drawn_as_they_are_in_every_figure(name, draw, recwarn):
    names = [name, "other"]
    figure = draw(plots.confusion, np.eye(2, dtype=int), names, title=name)
    axis = figure.axes[0]
    shown = axis.get_xticklabels()[0].get_text().replace(r"\$", "$").strip()
    assert shown in (name, "a\\nb\\tc", "caf\\udce9", "é" * 15 + "…" + "é" * 14)
    figure = draw(plots.scatter, np.eye(2), np.array([0, 1]), names, title=name)
    assert len(figure.legends[0].texts) == 2
    draw(plots.curves, [{"epoch": 1, LOSS: -0.5}], title=f"SimSiam on folder:{name}")
    draw(plots.compared_bars, {name: [0.5], "other": [0.4]}, title=name)
    draw(plots.parallel_coordinates, {"data": names}, [0.1, 0.2], title=name)
    assert not recwarn.list
