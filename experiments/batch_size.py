"""The paper's Table 2: batches of 16 to 1024, the learning rate scaled with them."""

from __future__ import annotations

from experiments import common
from keras_simsiam import options

if __name__ == "__main__":
    options.run_command(lambda argv: common.compare("batch_size", __doc__, argv))
