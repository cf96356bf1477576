"""The paper's Section 4.6: which view predicts which."""

from __future__ import annotations

from experiments import common
from keras_simsiam import options

VARIANTS = [
    common.Variant("symmetric (default)", {}, "68.1"),
    common.Variant("asymmetric", {"model": {"symmetry": "asymmetric"}}, "64.8"),
    common.Variant("asymmetric, two pairs", {"model": {"symmetry": "two_pairs"}}, "67.3"),
]


if __name__ == "__main__":
    options.run_command(lambda argv: common.compare(__doc__, "symmetry", VARIANTS, argv))
