"""The paper's Table 1: SimSiam without a trained predictor."""

from __future__ import annotations

from experiments import common
from keras_simsiam import options

if __name__ == "__main__":
    options.run_command(lambda argv: common.compare("predictor", __doc__, argv))
