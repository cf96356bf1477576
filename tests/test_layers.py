"""Imports run one way: from commands down to the configuration, without circles."""

import ast
import pathlib

import pytest

import keras_simsiam

PACKAGE = pathlib.Path(keras_simsiam.__file__).parent

LAYERS = (
    {"train", "evaluate", "tune", "import_weights"}
    | {"embed", "duplicates", "label", "map", "neighbors", "select"}
    | {"fine_tune", "predict", "convert", "pack"},
    {"fine_tuning", "exchange"},
    {"collection"},
    {"training", "tuning", "evaluation", "export", "plots"},
    {"models", "data", "augment", "native", "optimizers", "preprocessing", "arrays", "_compat"}
    | {"workers"},
    {"config", "presets", "probes", "options", "fields", "datasets", "documents", "metrics"}
    | {
        "augmentation",
        "backbone_rules",
        "callable_module",
        "collection_options",
        "conversion",
        "environment",
        "errors",
        "files",
        "fine_tuning_options",
        "streams",
        "method_options",
        "model_settings",
        "tables",
        "target_rules",
        "user_code",
        "pixels",
        "view_rules",
        "_stack",
    },
)
"""The parts of the package, each of which may import its own layer and those below."""


def imports(path):
    """Names of the modules that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "keras_simsiam":
            yield from (f"keras_simsiam.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module


@pytest.fixture(scope="module")
def graph():
    found = {}
    for path in PACKAGE.rglob("*.py"):
        part = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if part != "__init__":
            names = [name.split(".") for name in imports(path)]
            own = {name[1] for name in names if name[0] == "keras_simsiam" and len(name) > 1}
            found.setdefault(part, set()).update(own - {part})
    return found


def test_no_part_imports_one_of_a_layer_above(graph):
    level = {part: i for i, layer in enumerate(LAYERS) for part in layer}
    assert level.keys() == graph.keys()
    upwards = {(a, b) for a, parts in graph.items() for b in parts if level[b] < level[a]}
    assert not upwards


def test_no_part_imports_itself_through_others(graph):
    def reached(part, seen):
        for other in graph[part] - seen:
            seen.add(other)
            reached(other, seen)
        return seen

    assert not [part for part in graph if part in reached(part, set())]


def test_the_lowest_layer_imports_no_tensorflow_and_no_numpy():
    found = {
        (part, name.split(".")[0])
        for part in LAYERS[-1]
        for name in imports(PACKAGE / f"{part}.py")
    }
    assert not {(a, b) for a, b in found if b in ("tensorflow", "keras", "numpy")}
