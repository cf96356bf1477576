"""How values in files become uint8."""

import pytest

from keras_simsiam import InputError, Pixels


def test_a_range_is_that_of_all_channels_or_of_each():
    assert Pixels.of(2, None).range == ""
    assert Pixels.of(3, (3, 4061)) == Pixels(3, (3.0,) * 3, (4061.0,) * 3)
    assert Pixels.of(3, (3, 4061)).range == "3 to 4,061"
    assert Pixels(2, (0, 1.5), (7, 8)).range == "0 to 7, 1.5 to 8"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "channels must be at least 1; got 0"),
        (
            (3, (1.0,), (2.0,)),
            "high must have 3 numbers, one for each channel; got 1 and 1",
        ),
        ((2, (), (2.0, 3.0)), "must have 2 numbers, one for each channel; got 0 and 2"),
        ((1, (2.0,), (2.0,)), "high must be above low; got 2 and 2"),
    ],
)
def test_what_is_no_range_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Pixels(*arguments)
