"""The paper's Appendix B: the dimension of z, the predictor's hidden width a quarter of it."""

from __future__ import annotations

from experiments import common, linear
from keras_simsiam import options

if __name__ == "__main__":
    options.run_command(
        lambda argv: common.compare("dimension", __doc__, argv, measure=[linear.add])
    )
