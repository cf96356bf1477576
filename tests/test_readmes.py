"""The Markdown files: links lead somewhere, and code that they quote is the code."""

import inspect
import pathlib
import re
import textwrap

import pytest

from keras_simsiam import SimSiam

ROOT = pathlib.Path(__file__).parents[1]
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


def prose(file):
    """A file without its code blocks."""
    return re.sub(r"^```.*?^```", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(file):
    """The names that GitHub gives a file's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(file), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
