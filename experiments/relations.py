"""The paper's Section 6.2: what SimSiam shares with SimCLR, SwAV and BYOL, one change at a time."""

from __future__ import annotations

from experiments import common, linear
from keras_simsiam import options

if __name__ == "__main__":
    options.run_command(
        lambda argv: common.compare("relations", __doc__, argv, measure=[linear.add])
    )
