"""Maps: each image is where scikit-learn puts it, and a page is data that no name escapes from."""

import base64
import json
import re

import numpy as np
import pytest
from helpers.commands import command
from PIL import Image
from sklearn.decomposition import PCA

import keras_simsiam as ks
from keras_simsiam.collection.maps import cluster, project

RANDOM = np.random.RandomState(0)
NAMES = ["</script><script>alert(1).png", "\"'&.png", "a.png", "ü\n.png", "=b.png", "c.png"]


def test_points_are_the_principal_components():
    features = RANDOM.normal(size=(50, 6))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = PCA(2).fit_transform(unit)
    np.testing.assert_allclose(np.abs(project(features, "pca")), np.abs(expected), atol=1e-4)


def test_tsne_and_clusters_keep_what_belongs_together():
    group = np.repeat([0, 1, 2], [30, 20, 10])
    features = 10 * np.eye(3)[group] + RANDOM.normal(size=(60, 3))
    points = project(features)
    centers = np.stack([points[group == g].mean(axis=0) for g in range(3)])
    nearest = np.linalg.norm(points[:, None] - centers, axis=2).argmin(axis=1)
    assert (nearest == group).mean() > 0.95
    clusters, distances = cluster(features, 3)
    np.testing.assert_array_equal(clusters, group)  # largest first
    assert (distances < 1).all()
    assert cluster(np.ones((4, 3)), 3)[0].tolist() == [0] * 4


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Images in one color each, with names that are none of a file on most systems."""
    root = tmp_path_factory.mktemp("photos")
    (root / "<").mkdir()  # so that one name ends a script
    for i, name in enumerate(NAMES):
        Image.new("RGB", (20, 20), (30 * i, 100, 255 - 30 * i)).save(root / name)
    ks.embed("pixels", root).save(root / "features.npz")
    return root


def test_the_page_has_every_image_at_its_point_and_no_name_is_markup(photos, tmp_path):
    argv = (photos / "features.npz", "-o", tmp_path / "map.html", "--clusters", "3")
    assert command("map", *argv) == 0
    page = (tmp_path / "map.html").read_text()
    assert page.count("<script") == page.count("</script>") == 1
    assert not re.search("https?:", page)
    data = json.loads(re.search(r"^const data = (.*);$", page, re.MULTILINE)[1])
    features = ks.Features.read(photos / "features.npz")
    assert data["names"] == features.names
    assert len({tuple(point) for point in data["points"]}) == 6
    (tmp_path / "sprite.jpg").write_bytes(base64.b64decode(data["sprite"]))
    sprite = np.asarray(Image.open(tmp_path / "sprite.jpg")).astype(int)
    side, columns = data["side"], data["columns"]
    for i, name in enumerate(data["names"]):
        color = np.asarray(Image.open(photos / name))[0, 0]
        y, x = (side * n + side // 2 for n in divmod(i, columns))
        np.testing.assert_allclose(sprite[y, x], color, atol=12)
    for name in ("map.png", "map-clusters.png"):
        assert Image.open(tmp_path / name).size[0] > 300
    assert len((tmp_path / "map.csv").read_text().splitlines()) >= 7


def test_bad_input_is_one_line_and_nothing_is_written(photos, tmp_path, capsys):
    few = ks.Features.read(photos / "features.npz")
    ks.Features(few.names[:4], few.values[:4], None, few.origin).save(tmp_path / "few.npz")
    before = sorted(tmp_path.rglob("*"))
    for said, *argv in (
        ("output must end in .html", photos / "features.npz", "-o", tmp_path / "x.png"),
        ("needs at least 5 images; got 4", tmp_path / "few.npz", "-o", tmp_path / "x.html"),
        (
            "method must be one of",
            photos / "features.npz",
            "-o",
            tmp_path / "x.html",
            "--method",
            "x",
        ),
    ):
        assert command("map", *argv) == 2, said
        error = capsys.readouterr().err.strip()
        assert said in error
        assert "\n" not in error
        assert sorted(tmp_path.rglob("*")) == before
