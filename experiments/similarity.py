"""The paper's Section 4.5: cosine similarity or the cross-entropy of softmaxes."""

from __future__ import annotations

from experiments import common
from keras_simsiam import options

VARIANTS = [
    common.Variant("cosine (default)", {}, "68.1"),
    common.Variant("cross-entropy", {"model": {"similarity": "cross_entropy"}}, "63.2"),
]


if __name__ == "__main__":
    options.run_command(lambda argv: common.compare(__doc__, "similarity", VARIANTS, argv))
