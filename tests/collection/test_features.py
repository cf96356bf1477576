"""Files of features: what is written is read, by us and by others, whatever the names are."""

import csv

import numpy as np
import pytest

from keras_simsiam import Features, InputError
from keras_simsiam.collection import Origin

NAMES = ["a.jpg", "=1+2.png", "'=x.png", '-a, "b".jpg', "'plain", "å/\n.png", "@sum", "\udcff.png"]
LABELS = ["cat", "", "=dog", *[""] * 5]
VALUES = np.random.RandomState(0).normal(size=(8, 3)).astype("f")
ORIGIN = Origin("photos", "saved_models/mine", VALUES[0])
FEATURES = Features(NAMES, VALUES, LABELS, ORIGIN)


@pytest.mark.parametrize("suffix", ["npz", "csv", "parquet"])
@pytest.mark.parametrize("labels", [LABELS, None])
def test_what_is_written_is_read(suffix, labels, tmp_path):
    if suffix == "parquet":
        pytest.importorskip("pyarrow", exc_type=ImportError)
    names = NAMES if suffix != "parquet" else [*NAMES[:-1], "valid.png"]
    Features(names, VALUES, labels, ORIGIN).save(tmp_path / f"x.{suffix}")
    read = Features.read(tmp_path / f"x.{suffix}")
    assert read.names == names
    assert read.labels == labels
    np.testing.assert_array_equal(read.values, VALUES)
    if suffix != "csv":
        assert (read.origin.images, read.origin.encoder) == ("photos", "saved_models/mine")
        np.testing.assert_array_equal(read.origin.probe, VALUES[0])


def test_numpy_and_pyarrow_read_it_without_us(tmp_path):
    FEATURES.save(tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as file:  # NumPy refuses pickles by default
        assert list(file)[:2] == ["names", "labels"]
        assert file["names"].tolist() == NAMES
        np.testing.assert_array_equal(file["features"], VALUES)
    parquet = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    Features(NAMES[:2], VALUES[:2]).save(tmp_path / "x.parquet")
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table["name"].to_pylist() == NAMES[:2]
    np.testing.assert_array_equal(np.stack(table["features"].to_pylist()), VALUES[:2])


def test_no_cell_of_a_csv_file_is_a_formula(tmp_path):
    FEATURES.save(tmp_path / "x.csv")
    with open(tmp_path / "x.csv", newline="", errors="surrogateescape") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["name", "label", "f0", "f1", "f2"]
    assert not [cell for row in rows for cell in row[:2] if cell[:1] in tuple("=+-@")]


def test_shards_are_read_as_one(tmp_path):
    for i, some in enumerate((slice(0, 5), slice(5, 8))):
        Features(NAMES[some], VALUES[some], None, ORIGIN).save(tmp_path / f"{i}.npz")
    read = Features.read(tmp_path / "0.npz", tmp_path / "1.npz")
    assert read.names == NAMES
    np.testing.assert_array_equal(read.values, VALUES)
    Features(NAMES, VALUES, None, Origin(probe=VALUES[1])).save(tmp_path / "other.npz")
    with pytest.raises(InputError, match=r"other.npz' must have features of the model of"):
        Features.read(tmp_path / "0.npz", tmp_path / "other.npz")
    with pytest.raises(InputError, match=r"must name each image once; got 'a.jpg' twice"):
        Features.read(tmp_path / "0.npz", tmp_path / "0.npz")


def test_what_holds_no_features_is_refused_in_one_line(tmp_path):
    np.savez(tmp_path / "pickled.npz", names=np.array(["a"], object), features=VALUES)
    np.savez(tmp_path / "other.npz", x=VALUES)
    (tmp_path / "damaged.npz").write_bytes(b"nothing")
    (tmp_path / "damaged.parquet").write_bytes(b"nothing")
    (tmp_path / "other.csv").write_text("image,f0\na,1\n")
    (tmp_path / "text.csv").write_text("name,f0\na,x\n")
    (tmp_path / "short.csv").write_text("name,f0,f1\na,1,2\nb,3\n")
    (tmp_path / "nan.csv").write_text("name,f0\na,nan\n")
    files = [*tmp_path.iterdir(), tmp_path / "missing.npz", tmp_path / "x.txt"]
    for file in files:
        if file.suffix == ".parquet":
            pytest.importorskip("pyarrow", exc_type=ImportError)
        with pytest.raises(InputError, match=file.name) as caught:
            Features.read(file)
        assert "\n" not in str(caught.value)
