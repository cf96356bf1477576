"""The Markdown files: links lead somewhere, and quoted code and results are as they are."""

import inspect
import pathlib
import re
import textwrap

import pytest
import yaml

from experiments import common
from experiments.benchmarks import growth
from keras_simsiam import SimSiam
from keras_simsiam.tables import markdown

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "experiments/results"
FOLDERS = (".", "experiments", "keras_simsiam", "saved_models", "tests")
FILES = sorted(
    file
    for folder in FOLDERS
    for file in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(file):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(file)):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        linked = file.parent / path if path else file
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_readme_shows_the_method_as_it_is():
    shown = (ROOT / "README.md").read_text()
    for function in (SimSiam.forward, SimSiam.distance):
        assert textwrap.dedent(inspect.getsource(function)) in shown


def test_the_map_names_modules_and_tables_that_exist():
    section = (ROOT / "README.md").read_text().split("## Where to change what")[1]
    table = "".join(re.findall(r"^\|.*\n", section.split("\n## ")[0], re.MULTILINE))
    paths = [path for path in re.findall(r"`([\w/]+(?:\.py|/))`", table) if "NAME" not in path]
    assert len(paths) >= 7
    for path in paths:
        assert (ROOT / "keras_simsiam" / path).exists(), path
    names = re.findall(r"`([\w.]+)` in `([\w/]+\.py)`", table)
    assert len(names) == 6
    for name, path in names:
        source = (ROOT / "keras_simsiam" / path).read_text()
        assert re.search(rf"^\s*{name.split('.')[-1]}\b.*=", source, re.MULTILINE), name


@pytest.mark.parametrize("name", [f.stem for f in RESULTS.glob("*.csv")])
def test_tables_of_experiments_are_those_of_the_results_files(name):
    about = yaml.safe_load((RESULTS / f"{name}.yaml").read_text())
    table = common.table(common.read(RESULTS / f"{name}.csv"), about["cited"])
    assert markdown(table) in (ROOT / "experiments/README.md").read_text()


def test_the_table_of_what_grows_is_that_of_the_results_files():
    table = growth.table(growth.measurements())
    assert len(table) > 5
    assert markdown(table) in (ROOT / "experiments/README.md").read_text()


def prose(file):
    """A file without its code blocks."""
    return re.sub(r"^```.*?^```", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(file):
    """The names that GitHub gives a file's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(file), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
