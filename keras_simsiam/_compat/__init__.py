"""What differs between Keras 3 and Keras 2.15, the last that TensorFlow Addons runs with.

`keras3` and `keras2` define the same names, and one of them is chosen here. Everything else in
this package is written once, for both.
"""

from typing import TYPE_CHECKING

import keras

KERAS_3 = not keras.__version__.startswith("2.")

if TYPE_CHECKING or KERAS_3:
    from keras_simsiam._compat.keras3 import *  # noqa: F403
else:
    from keras_simsiam._compat.keras2 import *  # noqa: F403
