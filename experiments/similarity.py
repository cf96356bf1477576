"""The paper's Section 4.5: cosine similarity or the cross-entropy of softmaxes."""

from __future__ import annotations

from experiments import common
from keras_simsiam import options

if __name__ == "__main__":
    options.run_command(lambda argv: common.compare("similarity", __doc__, argv))
