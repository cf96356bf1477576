"""The paper's Section 4.6: which view predicts which."""

from __future__ import annotations

from experiments import common
from keras_simsiam import options

if __name__ == "__main__":
    options.run_command(lambda argv: common.compare("symmetry", __doc__, argv))
