"""The paper's Section 5.2: the network of the target is renewed every step, or less often."""

from __future__ import annotations

from experiments import common, linear
from keras_simsiam import options

if __name__ == "__main__":
    options.run_command(lambda argv: common.compare("targets", __doc__, argv, measure=[linear.add]))
