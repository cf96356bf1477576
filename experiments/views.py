"""More views of each image: FastSiam's four, and SwAV's multi-crop (its Section 3.2)."""

from __future__ import annotations

from experiments import common
from keras_simsiam import options

if __name__ == "__main__":
    options.run_command(lambda argv: common.compare("views", __doc__, argv))
