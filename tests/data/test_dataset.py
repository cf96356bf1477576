"""Every dataset is a module with one function, and a line in the table."""

import importlib
import inspect
import pkgutil

import pytest

from keras_simsiam import InputError, Pixels, data, datasets, load


def test_each_module_that_reads_a_dataset_is_in_the_table_and_the_other_way_round():
    names = [module.name for module in pkgutil.iter_modules(data.__path__)]
    modules = {name: importlib.import_module(f"keras_simsiam.data.{name}") for name in names}
    readers = {name for name, module in modules.items() if hasattr(module, "read")}
    assert readers == {source.module for source in datasets.DATASETS.values()}
    for name in readers:
        _, *parameters = inspect.signature(modules[name].read).parameters
        checks = any(s.from_files for s in datasets.DATASETS.values() if s.module == name)
        assert parameters == ["split", "data_dir", *["check_files", "pixels"] * checks]


@pytest.mark.parametrize("name", ["mnits", "photo_patches:x", "folder:", "tfds"])
def test_an_unknown_dataset_is_named_with_those_that_there_are(name):
    message = rf"dataset must be one of photo_patches, .*records:PATH; got '{name}'"
    with pytest.raises(InputError, match=message):
        load(name)


def test_the_argument_is_the_name_or_what_follows_the_colon(monkeypatch):
    asked = []
    for module in ("tfds_source", "folder"):
        home = importlib.import_module(f"keras_simsiam.data.{module}")
        monkeypatch.setattr(home, "read", lambda *arguments: asked.append(arguments))
    load("cifar10", "validation", "cache")
    load("tfds:imagenette/160px-v2")
    load("folder:/a:b/c", "validation")
    assert asked == [
        ("cifar10", "validation", "cache"),
        ("imagenette/160px-v2", "train", None),
        ("/a:b/c", "validation", None, "full", Pixels()),
    ]
