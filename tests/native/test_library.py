"""If the native operations cannot be used, TensorFlow makes the views, and one line says why."""

import warnings

import pytest
import tensorflow as tf

from keras_simsiam.errors import InputError
from keras_simsiam.native import __main__ as command
from keras_simsiam.native import build, operations

pytestmark = pytest.mark.slow  # the operations are compiled first


@pytest.fixture
def copy(native_cache, tmp_path, monkeypatch):
    """A copy of the library to damage, not yet loaded."""
    monkeypatch.setenv("KERAS_SIMSIAM_CACHE", str(native_cache))
    original = build.library()
    monkeypatch.setenv("KERAS_SIMSIAM_CACHE", str(tmp_path))
    monkeypatch.setenv("KERAS_SIMSIAM_NATIVE", "1")
    path = build.library()
    for file, target in ((original, path), (build.record(original), build.record(path))):
        target.write_bytes(file.read_bytes())
    operations.cache_clear()
    yield path
    operations.cache_clear()


@pytest.mark.parametrize("damage", ["cut off", "changed", "empty", "without its record"])
def test_a_damaged_library_is_not_loaded(damage, copy):
    content = copy.read_bytes()
    if damage == "without its record":
        build.record(copy).unlink()
    else:
        changed = content[:5000] + b"x" + content[5001:]
        copy.write_bytes({"cut off": content[:9000], "changed": changed, "empty": b""}[damage])
    with pytest.warns(UserWarning, match="native operations cannot be loaded") as warned:
        assert [operations(), operations()] == [None, None]
    assert len(warned) == 1
    assert len(str(warned[0].message).splitlines()) == 1


def test_a_library_of_another_tensorflow_is_not_loaded(copy, monkeypatch):
    monkeypatch.setattr(tf, "__version__", "2.99.0")
    with pytest.warns(UserWarning, match="built for another version or processor"):
        assert operations() is None


def test_a_library_without_the_operations_is_not_used(copy, monkeypatch):
    monkeypatch.setattr(tf, "load_op_library", lambda path: tf)
    with pytest.warns(UserWarning, match="lacks keras_simsiam_views"):
        assert operations() is None


def test_nothing_is_said_where_nothing_was_built_or_it_is_turned_off(copy, monkeypatch, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setenv("KERAS_SIMSIAM_NATIVE", "0")
        assert operations() is None
        operations.cache_clear()
        monkeypatch.setenv("KERAS_SIMSIAM_NATIVE", "1")
        monkeypatch.setenv("KERAS_SIMSIAM_CACHE", str(tmp_path / "empty"))
        assert operations() is None


def test_remove_removes_all_that_was_built(copy, capsys):
    assert command.main(["--remove"]) == 0
    assert list(copy.parent.iterdir()) == []
    assert "removed 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("compiler", "message"),
    [("false", "false failed"), ("no-such-compiler", "cannot run the compiler no-such-compiler")],
)
def test_a_compiler_that_fails_is_named_and_leaves_nothing(
    compiler, message, tmp_path, monkeypatch
):
    monkeypatch.setenv("KERAS_SIMSIAM_CACHE", str(tmp_path))
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(InputError, match=message):
        build.build()
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"a C\+\+ compiler is needed, g\+\+ or clang\+\+"):
        build.compiler()
