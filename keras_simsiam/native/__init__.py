"""Compiled operations that make random views on the CPU, where they have been built.

``python -m keras_simsiam.native`` builds them from ``views.cc`` with the machine's C++ compiler.
`keras_simsiam.augment` uses them where they are there and makes the same views without them, up to
the last digits of float32.
"""

from keras_simsiam.native.library import VARIABLE as VARIABLE
from keras_simsiam.native.library import operations as operations
