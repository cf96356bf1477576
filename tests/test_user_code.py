"""Functions that options name: which texts are names, and where modules are looked for."""

import pytest

from keras_simsiam import user_code


@pytest.mark.parametrize(
    ("text", "is_name"),
    [
        ("my_package:make", True),
        ("a.b.c:Class.make", True),
        ("keras:", False),
        ("C:\\file", False),
        ("a/b.py:make", False),
        ("make", False),
        ("a:b:c", False),
    ],
)
def test_only_a_module_and_what_is_in_it_is_a_name(text, is_name):
    assert user_code.is_name(text) is is_name


def test_a_function_is_found_in_the_standard_library():
    assert user_code.find_function("pathlib:Path.cwd", "callback").__name__ == "cwd"
