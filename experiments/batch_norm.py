"""The paper's Table 3: BatchNorm in the two heads."""

from __future__ import annotations

from experiments import common
from keras_simsiam import options

if __name__ == "__main__":
    options.run_command(lambda argv: common.compare("batch_norm", __doc__, argv))
