"""Reference images as planes."""

import pytest

from keras_simsiam.augment.planes import to_planes


@pytest.fixture(scope="module")
def arrays(reference):
    """torchvision's and Pillow's results for each pixel operation."""
    return reference("ops")


@pytest.fixture(scope="module")
def planes(arrays):
    return to_planes(arrays["images"])
