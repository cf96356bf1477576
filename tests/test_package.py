"""What an import gives, who can load our files, and how a stack that does not fit is reported."""

import importlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

import keras_simsiam
from keras_simsiam.fields import choices
from keras_simsiam.model_settings import Model
from keras_simsiam.models.methods import method

COMMAND = ("-m", "keras_simsiam.train", "--help")
PACKAGES = str(pathlib.Path(keras_simsiam.__file__).parents[1])


def python(*arguments, cwd, path=()):
    """Runs Python on this keras_simsiam, with more folders at the head of its path."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, path), PACKAGES])}
    argv = [sys.executable, *arguments]
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True)


@pytest.fixture
def theirs(tmp_path):
    """The parent of a user's package that imports ours and loads a file with Keras."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/__init__.py").write_text("import keras_simsiam\n")
    (tmp_path / "theirs/load.py").write_text("""
import sys
import keras
model = keras.models.load_model(sys.argv[1])
assert model.optimizer.coupled_weight_decay == 1e-4
print(type(model).__name__)
""")
    return tmp_path


@pytest.fixture
def old_keras(tmp_path):
    """A folder that makes the installed Keras look too old for the installed TensorFlow."""
    folder = tmp_path / "old"
    for name, version in (("tensorflow", "2.21.0"), ("keras", "3.4.1")):
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


@pytest.mark.parametrize("name", keras_simsiam.__all__)
def test_each_public_name_exists_and_has_a_docstring(name):
    assert getattr(keras_simsiam, name).__doc__


@pytest.mark.parametrize("name", choices(Model, "method"))
def test_each_method_is_a_public_name(name):
    assert method(name).__name__ in keras_simsiam.__all__
    assert getattr(keras_simsiam, method(name).__name__) is method(name)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="BYOL2"):
        _ = keras_simsiam.BYOL2


def test_version_is_that_of_the_installed_package():
    assert importlib.metadata.version("keras-simsiam") == keras_simsiam.__version__


def test_an_import_registers_every_class_that_a_file_can_name_and_imports_no_dataset(tmp_path):
    script = """
import importlib, pkgutil, sys, keras, keras_simsiam

def ours():
    return {name for name in keras.saving.get_custom_objects() if name.startswith("keras_simsiam>")}

at_import = ours()
import keras_simsiam.data
assert not {"tensorflow_datasets", "skimage"} & set(sys.modules)
for module in pkgutil.walk_packages(keras_simsiam.__path__, "keras_simsiam."):
    if not module.name.startswith("keras_simsiam._compat."):  # one of which is for the other Keras
        importlib.import_module(module.name)
assert "keras_simsiam>SimSiam" in at_import
assert ours() == at_import, ours() - at_import
"""
    run = python("-c", script, cwd=tmp_path)
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_keras_loads_a_saved_model_in_a_users_package(theirs):
    backbone = keras_simsiam.resnet18(width=2)
    model = keras_simsiam.SimSiam(
        backbone, keras_simsiam.projector(16, 8), keras_simsiam.predictor(8)
    )
    model.compile(**keras_simsiam.paper_optimizers(64, 10))
    model.save(theirs / "m.keras")
    for call in (("-m", "theirs.load"), ("-mtheirs.load",)):
        run = python(*call, "m.keras", cwd=theirs)
        assert (run.stdout, run.returncode) == ("SimSiam\n", 0), run.stderr


@pytest.mark.parametrize("call", [COMMAND, ("-mkeras_simsiam.train", "--help")])
def test_help_does_not_import_tensorflow(call, tmp_path):
    run = python("-X", "importtime", *call, cwd=tmp_path)
    assert "--epochs" in run.stdout
    imported = {line.split("|")[-1].strip() for line in run.stderr.splitlines()}
    assert "keras_simsiam.config" in imported
    assert not imported & {"tensorflow", "keras", "numpy"}


def test_our_command_reports_a_wrong_stack_in_one_line(old_keras, tmp_path):
    run = python(*COMMAND, cwd=tmp_path, path=[old_keras])
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("error: keras_simsiam needs TensorFlow 2.16 or newer with Keras")
    assert run.stderr.endswith("got tensorflow 2.21.0 with keras 3.4.1\n")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "call",
    [
        ("-m", "theirs.load", "m.keras"),
        ("-mtheirs.load", "m.keras"),
        ("-m", "theirs.load", "-m", "keras_simsiam.train"),
        ("-c", "import keras_simsiam"),
    ],
)
def test_a_users_program_gets_an_import_error_for_a_wrong_stack(call, old_keras, theirs):
    run = python(*call, cwd=theirs, path=[old_keras])
    assert "Traceback" in run.stderr
    assert run.stderr.splitlines()[-1].startswith("ImportError: keras_simsiam needs TensorFlow")


def test_without_tensorflow_the_import_fails_with_one_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="TensorFlow is not installed: pip install") as caught:
        importlib.reload(keras_simsiam)
    assert "\n" not in str(caught.value)


def pretend(monkeypatch, **versions):
    """Makes these distributions the installed ones."""

    def version(name):
        if name.replace("-", "_") not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name.replace("-", "_")]

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.parametrize(
    ("tensorflow", "keras"), [("2.21.0", "3.15.1"), ("2.16.0rc1", "3.5.0"), ("2.15.1", "2.15.0")]
)
def test_both_generations_of_keras_are_accepted_silently(tensorflow, keras, monkeypatch, recwarn):
    pretend(monkeypatch, tensorflow=tensorflow, keras=keras)
    importlib.reload(keras_simsiam)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("tensorflow", "keras", "said"),
    [
        ("2.14.0", "2.14.0", "got tensorflow 2.14.0 with keras 2.14.0"),
        ("2.21.0", "3.4.1", "got tensorflow 2.21.0 with keras 3.4.1"),
        ("2.15.1", "3.15.1", "tensorflow 2.15.1 needs Keras 2.15; got keras 3.15.1"),
    ],
)
def test_a_wrong_stack_is_named_in_one_line(tensorflow, keras, said, monkeypatch):
    pretend(monkeypatch, tensorflow=tensorflow, keras=keras)
    with pytest.raises(ImportError, match=said) as caught:
        importlib.reload(keras_simsiam)
    assert "\n" not in str(caught.value)


def test_addons_beside_keras_3_are_ignored_with_a_warning(monkeypatch):
    pretend(monkeypatch, tensorflow="2.21.0", keras="3.15.1", tensorflow_addons="0.23.0")
    said = "tensorflow-addons 0.23.0 does not work with keras 3.15.1 and is ignored"
    with pytest.warns(UserWarning, match=said):
        importlib.reload(keras_simsiam)


@pytest.mark.parametrize(
    ("backend", "layout", "said"),
    [
        ("jax", "channels_last", "backend to be tensorflow; got 'jax'"),
        ("tensorflow", "channels_first", "image_data_format to be channels_last"),
    ],
)
def test_settings_that_do_not_fit_are_named_in_one_line(
    backend, layout, said, monkeypatch, tmp_path
):
    pretend(monkeypatch, tensorflow="2.21.0", keras="3.15.1")
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    settings = {"backend": backend, "image_data_format": layout}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    with pytest.raises(ImportError, match=said) as caught:
        importlib.reload(keras_simsiam)
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("KERAS_BACKEND", "torch")  # which comes before the file
    assert "'torch' from KERAS_BACKEND" in keras_simsiam._stack.wrong_setting()


COMMANDS = [n for n in keras_simsiam.__all__ if importlib.util.find_spec(f"keras_simsiam.{n}")]
"""Public functions that share their name with a command."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_function_can_be_called_after_its_command_was_imported(name, tmp_path):
    code = (
        f"import keras_simsiam as ks, keras_simsiam.{name} as module\n"
        f"assert ks.{name} is module and callable(module.main)\n"
        f"try: ks.{name}()\n"
        "except TypeError as e: print(e)\n"
    )
    found = python("-c", code, cwd=tmp_path)
    assert "missing a required argument" in found.stdout, found.stderr
